"""What a pool has been asked for, and who has it at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Telling
from r1kit.rollout.replica import Replica

__all__ = ["MOST_LOSSES", "Member", "Request", "bundles"]

AT_ONCE = 128
"""Requests that a replica is given at a time where each is a call of its own."""
MOST_LOSSES = 10
"""Replicas that one request may lose before it is taken to be the cause."""


@dataclass(eq=False, slots=True)
class Request:
    """A prompt with its rows."""

    prompt: Sequence[int]
    sampling: Sampling
    seed: int
    answer: Future[tuple[Completion, ...]] = field(default_factory=Future)
    losses: int = 0
    """Replicas that were lost while they had it."""

    def settle(self, found: tuple[Completion, ...] | BaseException) -> None:
        """Tell whoever waits, unless nobody does any more."""
        with suppress(InvalidStateError):
            if isinstance(found, BaseException):
                self.answer.set_exception(found)
            else:
                self.answer.set_result(found)


@dataclass(eq=False, slots=True)
class Member:
    """A replica of the pool."""

    replica: Replica
    lost: str = ""
    """Why it does not serve; empty: it serves."""
    life: int = 0
    """Times that it was lost: what a thread of an earlier life says no longer counts."""
    out: dict[Request, None] = field(default_factory=dict)
    """What it was given and has not answered, in order."""

    @property
    def rows(self) -> int:
        return sum(request.sampling.n for request in self.out)

    @property
    def has_room(self) -> bool:
        return not self.lost and (isinstance(self.replica, Telling) or len(self.out) < AT_ONCE)


def bundles(requests: Sequence[Request], together: bool) -> list[list[Request]]:
    """Requests of one call each: all of one sampling where a replica takes several, else each alone."""
    if not together:
        return [[request] for request in requests]
    bundles: dict[Sampling, list[Request]] = {}
    for request in requests:
        bundles.setdefault(request.sampling, []).append(request)
    return list(bundles.values())
