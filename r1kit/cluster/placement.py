"""Which host of a cluster gets which process: arithmetic alone, so that what is missing is known at once.

Ranks fill the first host (the one that writes the run folder), then the next, so that neighbours share a host; engines
and verifiers go where most is free. What a cluster reserves follows from it (``ray_cluster``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from r1kit.cluster.settings import Cluster, Needs
from r1kit.errors import MissingError

__all__ = ["ENGINE", "RANK", "VERIFIER", "Host", "Slot", "plan", "room_for_ranks"]

RANK, ENGINE, VERIFIER = "rank", "engine", "verifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host and what is free on it."""

    id: str
    address: str
    """That the others reach it by."""
    cpus: float = 0.0
    gpus: float = 0.0
    memory_gb: float = 0.0
    labels: tuple[str, ...] = field(default=(), compare=False)

    def holds(self, needs: Needs) -> bool:
        return self.cpus >= needs.cpus and self.gpus >= needs.gpus and self.memory_gb >= needs.memory_gb

    def without(self, needs: Needs) -> Host:
        return replace(
            self,
            cpus=self.cpus - needs.cpus,
            gpus=self.gpus - needs.gpus,
            memory_gb=self.memory_gb - needs.memory_gb,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A process's place."""

    kind: str
    """``rank``, ``engine`` or ``verifier``."""
    index: int
    host: Host
    needs: Needs
    shares: int = -1
    """The rank whose devices it takes in turn with it; -1: none."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.index}"


def plan(
    hosts: Iterable[Host], settings: Cluster, ranks: int, first: str = "", beside: Collection[Slot] = ()
) -> list[Slot]:
    """Every process's place, ranks first.

    Args:
        first: id of the host that rank 0 must be on; empty: any.
        beside: engines and verifiers that stand already, whose needs are taken off what ``hosts`` have; those that
            ``settings`` ask for and that are not among them are placed.

    Raises:
        MissingError: what does not fit, what was asked and what is there.
    """
    free = {host.id: host for host in sorted(hosts, key=lambda host: (host.id != first, _order(host.address)))}
    whole = dict(free)
    slots: list[Slot] = []
    short: Counter[str] = Counter()

    def put(kind: str, index: int, needs: Needs, among: Sequence[Host], shares: int = -1) -> None:
        host = next((host for host in among if host.holds(needs)), None)
        if host is None:
            short[kind] += 1
            return
        free[host.id] = host.without(needs)
        slots.append(Slot(kind=kind, index=index, host=whole[host.id], needs=needs, shares=shares))

    for index in range(ranks):
        among = [free[first]] if first and index == 0 and first in free else list(free.values())
        put(RANK, index, settings.rank_needs, [] if first and index == 0 and first not in free else among)
    standing = {(slot.kind, slot.index) for slot in beside}
    for index in range(settings.engines):
        if (ENGINE, index) in standing:
            continue
        if settings.share_devices:
            owner = next((slot for slot in slots if slot.index == index % max(ranks, 1)), None)
            if owner is None:
                short[ENGINE] += 1
                continue
            put(ENGINE, index, replace(settings.engine_needs, gpus=0.0), [free[owner.host.id]], owner.index)
        else:
            put(ENGINE, index, settings.engine_needs, _freest(free.values()))
    for index in range(settings.verifiers):
        if (VERIFIER, index) not in standing:
            put(VERIFIER, index, settings.verifier_needs, _freest(free.values()))
    if short:
        raise MissingError(_missing(short, list(whole.values()), settings, ranks, first))
    return slots


def room_for_ranks(hosts: Iterable[Host], needs: Needs, most: int) -> int:
    """How many ranks fit, at most ``most``."""
    room = 0
    for host in hosts:
        while room < most and host.holds(needs):
            host, room = host.without(needs), room + 1
    return room


def _order(address: str) -> tuple[int, ...] | tuple[str, ...]:
    """10.0.0.9 before 10.0.0.10."""
    parts = address.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (address,)


def _freest(hosts: Iterable[Host]) -> list[Host]:
    return sorted(hosts, key=lambda host: (-host.gpus, -host.cpus))


def _missing(short: Counter[str], hosts: Sequence[Host], settings: Cluster, ranks: int, first: str) -> str:
    counts = {RANK: ranks, ENGINE: settings.engines, VERIFIER: settings.verifiers}
    needs = {RANK: settings.rank_needs, ENGINE: settings.engine_needs, VERIFIER: settings.verifier_needs}
    asked = ", ".join(
        f"{count} {kind}{'s' if count > 1 else ''} of {_needed(needs[kind])}" for kind, count in counts.items() if count
    )
    there = "; ".join(f"{host.address} {_has(host)}" for host in hosts) or "no host"
    lacking = " and ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in short.items())
    where = ""
    if first and short[RANK] and not any(host.id == first and host.holds(settings.rank_needs) for host in hosts):
        where = ' (rank 0 belongs on this host, which has the run folder; cluster.first_rank = "any" lets it go)'
    return (
        f"the cluster has no room for {lacking}{where}: asked for {asked}; free are {there}; ask for less in [cluster] "
        "or --ranks, or add a host"
    )


def _needed(needs: Needs) -> str:
    parts = [f"{needs.cpus:g} cpu{'s' if needs.cpus != 1 else ''}"]
    parts += [f"{needs.gpus:g} gpu{'s' if needs.gpus != 1 else ''}"] if needs.gpus else []
    parts += [f"{needs.memory_gb:g} GB"] if needs.memory_gb else []
    return " + ".join(parts)


def _has(host: Host) -> str:
    return f"{host.cpus:g} cpus, {host.gpus:g} gpus, {host.memory_gb:.0f} GB"
