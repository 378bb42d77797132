"""The processes beside a run's ranks, as jobs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from r1kit.cluster.processes import Job
from r1kit.cluster.settings import Cluster, Needs
from r1kit.errors import InputError

__all__ = ["Timing", "helper_jobs", "refuse_helpers", "timing"]

_TIMING = "R1KIT_TIMING"
"""Environment of a helper: the numbers of ``Timing``, in order."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When a helper takes others for lost; see ``Cluster``."""

    heartbeat: float
    lost_after: float
    patience: float


def helper_jobs(cluster: Cluster, threads: int, ranks: int) -> list[Job]:
    """What ``[cluster]`` asks for beside the ranks.

    Args:
        cluster: how many of each.
        threads: of an engine.
        ranks: of the run; on one host with GPUs the engines take those after the ranks', or share theirs.
    """
    times = " ".join(map(str, (cluster.heartbeat, cluster.lost_after, 60 * cluster.wait_minutes)))

    def job(kind: str, number: int, needs: Needs, threads: int, device: int) -> Job:
        name = f"{kind} {number}"
        told = {"OMP_NUM_THREADS": str(threads), "LOCAL_RANK": str(device), _TIMING: times}
        command = ("-m", "r1kit.backends.serve", kind)
        return Job(name=name, command=command, environment=told, needs=needs)

    first = 0 if cluster.share_devices else ranks
    engines = [job("engine", place, cluster.engine_needs, threads, first + place) for place in range(cluster.engines)]
    return engines + [job("verifier", place, cluster.verifier_needs, 1, 0) for place in range(cluster.verifiers)]


def refuse_helpers(cluster: Cluster, where: str) -> None:
    """Raise InputError where nobody would start them. ``where``: ``under torchrun``."""
    asked = [f"cluster.{name} = {count}" for name, count in (
        ("engines", cluster.engines), ("verifiers", cluster.verifiers)
    ) if count]  # fmt: skip
    if asked:
        raise InputError(f"{' and '.join(asked)} {where}: only `r1 run`, which starts the ranks, starts them; set 0")


def timing() -> Timing:
    """This helper's, from its environment."""
    return Timing(*map(float, os.environ[_TIMING].split()))
