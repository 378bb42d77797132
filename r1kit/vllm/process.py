"""vLLM's own engine inside this process: the environment that it reads, its start, its end."""

from __future__ import annotations

import gc
import os
import tempfile
from typing import TYPE_CHECKING, Any

import torch

from r1kit.errors import InputError
from r1kit.vllm.plugin import BACKEND, register

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["prepare_environment", "start", "stop"]

GIB = 2**30
_live: set[int] = set()
"""Engines of this process."""


def prepare_environment() -> None:
    """What vLLM reads when it is imported; what the user has set stays.

    Its log goes to stderr and holds errors alone: a tied head is told as ``Failed to load`` at every hand-over. Threads
    are not bound to cores, which the learner of this process shares.
    """
    for name, value in {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }.items():
        os.environ.setdefault(name, value)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"


def _where(device: torch.device, cache_gb: float, memory_share: float) -> dict[str, Any]:
    """Arguments by device. On a CPU nothing is compiled: that takes minutes and gains little."""
    if device.type == "cuda":
        return {"gpu_memory_utilization": memory_share, "enable_sleep_mode": True}
    return {"kv_cache_memory_bytes": int(cache_gb * GIB), "enforce_eager": True}


def start(
    config: PretrainedConfig, device: torch.device, *, cache_gb: float, memory_share: float, **arguments: Any
) -> Any:
    """vLLM's engine with the shape of a model and no weights of it yet; ``arguments`` are those of ``EngineArgs``.

    Raises:
        InputError: vLLM cannot run this model so.
    """
    prepare_environment()
    from vllm import EngineArgs
    from vllm.config import WeightTransferConfig
    from vllm.v1.engine.llm_engine import LLMEngine

    register()
    threads = torch.set_num_threads  # vLLM's CPU worker puts one in its place that does nothing
    with tempfile.TemporaryDirectory(prefix="r1kit-vllm-") as folder:
        config.save_pretrained(folder)
        settings = EngineArgs(
            **{
                "model": folder,
                "skip_tokenizer_init": True,
                "load_format": "dummy",
                "generation_config": "vllm",
                "logprobs_mode": "processed_logprobs",
                "enable_prefix_caching": True,
                "disable_log_stats": True,
                "weight_transfer_config": WeightTransferConfig(backend=BACKEND),
                **_where(device, cache_gb, memory_share),
                **arguments,
            }
        )
        try:
            engine = LLMEngine.from_engine_args(settings)
        except (ValueError, NotImplementedError) as error:
            raise InputError(f'engine = "vllm" cannot run {config.model_type}: {_reason(error)}') from error
        finally:
            torch.set_num_threads = threads
    _live.add(id(engine))
    return engine


def _reason(error: Exception) -> str:
    """One line of what vLLM says; pydantic puts it after a headline."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = next((line for line in lines if line.startswith("Value error, ")), lines[0] if lines else "")
    return found.removeprefix("Value error, ").partition(" [type=")[0]


def stop(engine: Any, solo: bool) -> None:
    """End an engine. vLLM would end every process group with it: other engines' stay, and the ranks' own."""
    from vllm.distributed.parallel_state import destroy_model_parallel
    from vllm.v1.engine import core

    _live.discard(id(engine))
    cleanup = core.cleanup_dist_env_and_memory
    if _live:
        core.cleanup_dist_env_and_memory = lambda: None
    elif not solo:
        core.cleanup_dist_env_and_memory = destroy_model_parallel
    try:
        engine.engine_core.shutdown()
    finally:
        core.cleanup_dist_env_and_memory = cleanup
    del engine
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
