"""The processes beside a run's ranks, as jobs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from r1kit.cluster.processes import Job
from r1kit.cluster.settings import Cluster, Needs

__all__ = ["Timing", "helper_jobs", "timing"]

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
        ranks: of the run; on one host with GPUs the engines take those after the ranks'.
    """
    times = " ".join(map(str, (cluster.heartbeat, cluster.lost_after, 60 * cluster.wait_minutes)))

    def job(kind: str, number: int, needs: Needs, threads: int, device: int) -> Job:
        name = f"{kind} {number}"
        told = {"OMP_NUM_THREADS": str(threads), "LOCAL_RANK": str(device), _TIMING: times}
        command = ("-m", "r1kit.backends.serve", kind)
        return Job(name=name, command=command, environment=told, needs=needs)

    engines = [job("engine", place, cluster.engine_needs, threads, ranks + place) for place in range(cluster.engines)]
    return engines + [job("verifier", place, cluster.verifier_needs, 1, 0) for place in range(cluster.verifiers)]


def timing() -> Timing:
    """This helper's, from its environment."""
    return Timing(*map(float, os.environ[_TIMING].split()))
