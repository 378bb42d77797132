"""vLLM's own engine inside this process: the environment that it reads, its start, its end.

On a GPU an engine that is closed sleeps on, its memory given back, until one with the same settings is asked for: the
next stage of a run then waits for weights alone, and not a minute for vLLM. Another one stops it.

vLLM's allocator, by which an engine can sleep, serves one engine of a process. While it is taken a further engine gets
a process of its own, and its weights by a pipe.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from r1kit.errors import InputError, R1Error, first_line
from r1kit.vllm.plugin import BACKEND, register

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["Running", "prepare_environment", "release", "start", "wake"]

GIB = 2**30


@dataclass(slots=True, eq=False)
class Running:
    """An engine, ready for weights."""

    engine: Any
    key: str
    """What it was started with."""
    remote: bool
    """Its model is in other processes."""
    sleeps: bool
    """Its memory can be given back while it is kept."""
    solo: bool
    """No other rank has one."""
    handed: int = 0
    """Hand-overs of weights."""
    calls: int = 0
    """Of ``generate``."""


_live: list[Running] = []
_parked: list[Running] = []
"""Asleep, for the next that asks for such a one; at most one of ``_live``."""
_allocators: list[Any] = []
"""Of memory that stopped engines may still hold: freed by an allocator that is gone, it would end the process."""


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


def start(
    config: PretrainedConfig, device: torch.device, *, cache_gb: float, memory_share: float, ranks: int, devices: int,
    **arguments: Any,
) -> Running:  # fmt: skip
    """vLLM's engine with the shape of a model and no weights of it yet.

    Args:
        ranks: processes of the run, each with an engine of its own.
        devices: that share this one, each driven by a process that vLLM starts.
        arguments: of ``EngineArgs``.

    Raises:
        InputError: vLLM cannot run this model so.
        R1Error: it could, but did not start.
    """
    shape = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    key = json.dumps(
        [shape, str(device), cache_gb, memory_share, ranks, devices, arguments], default=str, sort_keys=True
    )
    if _parked and _parked[0].key == key:
        running = _parked.pop()
        try:
            wake(running)
        except R1Error:
            _stop(running)
            raise
        return running
    _stop_parked()
    crowded = _crowded(device)
    remote = devices > 1 or (ranks == 1 and crowded)
    sleeps = device.type == "cuda" and (remote or not crowded)
    executor = "mp" if remote else "uni" if ranks == 1 else "external_launcher"
    where = {"gpu_memory_utilization": memory_share, "enable_sleep_mode": sleeps}
    if device.type == "cpu":  # nothing is compiled there: that takes minutes and gains little
        where = {"kv_cache_memory_bytes": int(cache_gb * GIB), "enforce_eager": True}
    settings = {"distributed_executor_backend": executor, "tensor_parallel_size": devices, **where, **arguments}
    running = Running(_started(config, settings), key, remote, sleeps, ranks == 1)
    _live.append(running)
    _stop_at_exit()
    running.engine.collective_rpc("init_weight_transfer_engine", kwargs={"init_info": {"kind": "memory"}})
    return running


def wake(running: Running) -> None:
    """Take the memory back that ``sleep`` gave.

    Raises:
        R1Error: it is no longer free.
    """
    try:
        running.engine.wake_up()
    except Exception as error:
        raise R1Error(f"vLLM did not wake up: {first_line(error)}; lower engine.memory_share") from error


def _slept(running: Running) -> bool:
    try:
        running.engine.sleep(2)
    except Exception:  # of a broken engine; the stage that closes it has its result, or an error that says more
        return False
    return True


def _crowded(device: torch.device) -> bool:
    """Whether vLLM's allocator is taken, by an engine or by what one has left."""
    if device.type != "cuda":
        return False
    if any(not running.remote for running in _live):
        return True
    from vllm.device_allocator.cumem import CuMemAllocator

    gc.collect()
    torch.cuda.empty_cache()
    return CuMemAllocator.instance is not None and CuMemAllocator.instance.get_current_usage() > 0


def _started(config: PretrainedConfig, settings: dict[str, Any]) -> Any:
    prepare_environment()
    from vllm import EngineArgs
    from vllm.config import WeightTransferConfig
    from vllm.v1.engine.llm_engine import LLMEngine

    register()
    threads = torch.set_num_threads  # vLLM's CPU worker puts one in its place that does nothing
    with tempfile.TemporaryDirectory(prefix="r1kit-vllm-") as folder:
        config.save_pretrained(folder)
        arguments = EngineArgs(
            **{
                "model": folder,
                "skip_tokenizer_init": True,
                "load_format": "dummy",
                "generation_config": "vllm",
                "logprobs_mode": "processed_logprobs",
                "enable_prefix_caching": True,
                "disable_log_stats": True,
                "weight_transfer_config": WeightTransferConfig(backend=BACKEND),
                **settings,
            }
        )
        try:
            return LLMEngine.from_engine_args(arguments)
        except (ValueError, NotImplementedError) as error:
            raise InputError(f'engine = "vllm" cannot run {config.model_type}: {_reason(error)}') from error
        except (AssertionError, RuntimeError) as error:  # memory that others take or give back meanwhile
            raise R1Error(f"vLLM did not start: {first_line(error)}") from error
        finally:
            torch.set_num_threads = threads


def _reason(error: Exception) -> str:
    """One line of what vLLM says; pydantic puts it after a headline."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = next((line for line in lines if line.startswith("Value error, ")), lines[0] if lines else "")
    return found.removeprefix("Value error, ").partition(" [type=")[0]


def release(running: Running, *, asleep: bool, sound: bool) -> None:
    """Nobody uses an engine any more, which is ``asleep`` or awake: it is kept for the next where that costs little.

    Args:
        sound: neither a hand-over nor a step broke off in it.
    """
    wanted = sound and running.sleeps and (not _parked or (_parked[0].remote and not running.remote))
    if wanted and (asleep or _slept(running)):
        _stop_parked()
        _parked.append(running)
    else:
        _stop(running)


def _stop_parked() -> None:
    while _parked:
        _stop(_parked.pop())


@cache
def _stop_at_exit() -> None:
    """Before what vLLM does then, which therefore must have been set first."""
    atexit.register(_stop_parked)


def _stop(running: Running) -> None:
    """End an engine. vLLM would end every process group with it: other engines' stay, and the ranks' own."""
    from vllm.distributed.parallel_state import destroy_model_parallel
    from vllm.v1.engine import core

    _live.remove(running)
    if running.sleeps and not running.remote:
        from vllm.device_allocator.cumem import CuMemAllocator

        _allocators.extend(allocator for _, allocator, *_ in CuMemAllocator.get_instance().allocator_and_pools.values())
    cleanup = core.cleanup_dist_env_and_memory
    if _live:
        core.cleanup_dist_env_and_memory = lambda: None
    elif not running.solo:
        core.cleanup_dist_env_and_memory = destroy_model_parallel
    try:
        running.engine.engine_core.shutdown()
    finally:
        core.cleanup_dist_env_and_memory = cleanup
    running.engine = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
