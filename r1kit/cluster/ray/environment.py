"""What a process on a host of a cluster is told, beside what its host's environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from r1kit.cluster.placement import is_rank
from r1kit.cluster.processes import LOOPBACK, PARENT, WORDS, Job, tunables

__all__ = ["carried", "environment"]

CARRIED = (
    "R1KIT_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TOKENIZERS_", "TORCH_", "PYTORCH_", "ATEN_", "DNNL_", "ONEDNN_",
    "MKL_", "OMP_", "KMP_", "NCCL_", "GLOO_TIMEOUT", "VLLM_", "CUDA_LAUNCH_BLOCKING", "GLIBC_TUNABLES", "PYTHONPATH",
    "PYTHONHASHSEED", "LANG", "LC_",
)  # fmt: skip
"""Beginnings of the variables that go from here to other hosts; the rest of the environment is theirs."""
HOST = "R1KIT_HOST"
"""Environment of a helper: the address that it listens at."""


def carried(*, here: bool) -> dict[str, str]:
    """Of this process's environment, what processes get: on this host all of it."""
    own = {PARENT, WORDS}
    return {name: text for name, text in os.environ.items() if name not in own and (here or name.startswith(CARRIED))}


def environment(
    job: Job, given: Mapping[str, str], stands: Mapping[str, Any], address: str, threads: int, cores: int
) -> dict[str, str]:
    """The same as on one machine where all processes are on the host of ``r1 run``.

    Args:
        given: of this process's environment, see ``carried``.
        stands: what ``ray_host.Keeper.stand`` said at its place: ``gpus`` and ``interface``.
        address: that the other processes reach its host by; loopback where none is elsewhere.
        threads: a rank, as the user asked; 0: its host's cores over the ranks there.
        cores: of its host.
    """
    told = dict(job.environment)
    if is_rank(job):
        told["OMP_NUM_THREADS"] = str(threads or max(1, cores // int(told["LOCAL_WORLD_SIZE"])))
        if address != LOOPBACK:
            for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
                told[name] = given.get(name) or stands["interface"]
            told["TORCH_CPP_LOG_LEVEL"] = given.get("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of hosts without a name
    if stands["gpus"]:
        told["CUDA_VISIBLE_DEVICES"] = ",".join(stands["gpus"])
    if HOST in told:
        told[HOST] = address
    return {**given, **told, "GLIBC_TUNABLES": tunables(given.get("GLIBC_TUNABLES", ""))}
