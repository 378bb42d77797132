"""Which host of a cluster gets which process: arithmetic alone, so that what is missing is known at once.

Ranks fill the first host (the one that writes the run folder), then the next, so that neighbours share a host; helpers
go where most is free. What a cluster reserves follows from it (``ray.cluster``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from r1kit.cluster.processes import Job
from r1kit.cluster.settings import Needs
from r1kit.errors import MissingError

__all__ = ["Host", "Slot", "is_rank", "plan", "room_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host and what is free on it."""

    id: str
    address: str
    """That the others reach it by."""
    cpus: float = 0.0
    gpus: float = 0.0
    memory_gb: float = 0.0

    def holds(self, needs: Needs) -> bool:
        return self.cpus >= needs.cpus and self.gpus >= needs.gpus and self.memory_gb >= needs.memory_gb

    def without(self, needs: Needs) -> Host:
        return replace(
            self,
            cpus=self.cpus - needs.cpus,
            gpus=self.gpus - needs.gpus,
            memory_gb=self.memory_gb - needs.memory_gb,
        )

    def __str__(self) -> str:
        return f"{self.address} {self.cpus:g} cpus, {self.gpus:g} gpus, {self.memory_gb:.0f} GB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A process's place."""

    job: Job
    host: Host
    needs: Needs
    """What is reserved for it."""
    owner: str = ""
    """The rank whose devices it takes in turn with it; empty: none."""


def is_rank(job: Job) -> bool:
    return job.name.startswith("rank ")


def plan(hosts: Iterable[Host], jobs: Sequence[Job], first: str = "", *, share_devices: bool = False) -> list[Slot]:
    """Every job's place, in their order.

    Args:
        jobs: ranks before helpers.
        first: id of the host that rank 0 must be on; empty: any.
        share_devices: engines take the GPUs of ranks, engine i those of rank i, and stand on their hosts.

    Raises:
        MissingError: what does not fit, what was asked and what is there.
    """
    there = sorted(hosts, key=lambda host: (host.id != first, _order(host.address)))
    free = {host.id: host for host in there}
    slots: list[Slot] = []
    short: list[Job] = []
    for job in jobs:
        needs, owner = job.needs, ""
        among = list(free.values())
        if is_rank(job):
            if first and job.name == "rank 0":
                among = [free[first]] if first in free else []
        elif share_devices and job.name.startswith("engine ") and (ranks := [s for s in slots if is_rank(s.job)]):
            whose = ranks[int(job.name.split()[1]) % len(ranks)]
            needs, owner, among = replace(needs, gpus=0.0), whose.job.name, [free[whose.host.id]]
        else:
            among.sort(key=lambda host: (-host.gpus, -host.cpus))
        host = next((host for host in among if host.holds(needs)), None)
        if host is None:
            short.append(job)
            continue
        free[host.id] = host.without(needs)
        slots.append(Slot(job=job, host=host, needs=needs, owner=owner))
    if short:
        raise MissingError(_missing(short, jobs, there, first))
    return slots


def room_for(hosts: Iterable[Host], needs: Needs, most: int) -> int:
    """How many processes fit, at most ``most``."""
    room = 0
    for host in hosts:
        while room < most and host.holds(needs):
            host, room = host.without(needs), room + 1
    return room


def _order(address: str) -> tuple[int, ...] | tuple[str, ...]:
    """10.0.0.9 before 10.0.0.10."""
    parts = address.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (address,)


def _missing(short: Sequence[Job], jobs: Sequence[Job], hosts: Sequence[Host], first: str) -> str:
    needs = {job.name.split()[0]: job.needs for job in jobs}
    asked = Counter(job.name.split()[0] for job in jobs)
    lacking = Counter(job.name.split()[0] for job in short)
    where = ""
    if first and any(job.name == "rank 0" for job in short):
        where = ' (rank 0 belongs on the host of r1 run, which has the run folder; cluster.first_rank = "any" frees it)'
    return (
        f"the cluster has no room for {_counted(lacking)}{where}: asked for "
        + ", ".join(f"{_counted(Counter({kind: n}))} of {_needed(needs[kind])}" for kind, n in asked.items())
        + f"; free are {'; '.join(map(str, hosts)) or 'no hosts'}; ask for less in [cluster] or --ranks, or add a host"
    )


def _counted(kinds: Counter[str]) -> str:
    return " and ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items())


def _needed(needs: Needs) -> str:
    parts = [f"{needs.cpus:g} cpu{'s' if needs.cpus != 1 else ''}"]
    parts += [f"{needs.gpus:g} gpu{'s' if needs.gpus != 1 else ''}"] if needs.gpus else []
    parts += [f"{needs.memory_gb:g} GB"] if needs.memory_gb else []
    return " + ".join(parts)
