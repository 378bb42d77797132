"""Open ``engine = "vllm"``: in the process of every rank, or servers that run already."""

from __future__ import annotations

import os
from typing import cast

import torch

from r1kit.backends.models import LoadedModel
from r1kit.backends.vllm_package import check_vllm
from r1kit.backends.vllm_servers import open_servers
from r1kit.cluster.ranks import Ranks, local_rank
from r1kit.cluster.settings import VLLM, Cluster
from r1kit.errors import InputError
from r1kit.rollout.engine import Engine
from r1kit.rollout.stopping import Tokenizer
from r1kit.vllm.engine import VLLMEngine

__all__ = ["open_vllm"]


def open_vllm(loaded: LoadedModel, *, dtype: torch.dtype, max_rows: int, settings: VLLM, ranks: Ranks) -> Engine:
    """vLLM with the model's shape, its present weights handed over; every rank calls it.

    Raises:
        MissingError: vLLM is not here, or too old.
        InputError: it cannot run the model.
    """
    if settings.address:
        return open_servers(loaded, dtype=dtype, settings=settings, ranks=ranks)
    check_vllm()
    settings.check(ranks.size, Cluster())
    apart = settings.expert_parallel and bool(getattr(loaded.model.config, "experts", 0))  # a judge may have none
    if apart and loaded.device.type == "cpu":
        raise InputError("engine.expert_parallel = true: vLLM's experts on a CPU cannot be shared out; drop it")
    if ranks.size > 1:
        os.environ.setdefault("LOCAL_RANK", str(local_rank(ranks)))  # vLLM joins the ranks' process group by it
    return VLLMEngine(
        loaded.model.hub_config(),
        loaded.weights,
        cast(Tokenizer, loaded.tokenizer),
        positions=loaded.positions,
        vocab_size=loaded.model.config.vocab_size,
        dtype=dtype,
        device=loaded.device,
        max_rows=max_rows,
        end_ids=loaded.stop_ids,
        cache_gb=settings.cache_gb,
        memory_share=settings.memory_share,
        checksums=settings.checksums,
        ranks=ranks.size,
        devices=settings.tensor_parallel,
        published=loaded.model.published,
        enable_expert_parallel=apart,
    )
