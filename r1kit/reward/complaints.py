"""What went wrong in a user's own code, shown once a kind with a count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from r1kit.records import Score

__all__ = ["Complaints", "Found", "complained"]

_THEIRS = re.compile(r"\S+:[\w.]+:? (gave )?\w+")
"""How a cause in a user's file begins, and what makes its kind: ``my_rewards.py:12: KeyError``, ``my.py:f gave nan``,
``my_task.py:Sums.grade gave None``."""

Found = Mapping[str, tuple[str, int]]
"""Kind -> (the first cause of it, how many there are)."""


def complained(scores: Iterable[Score]) -> Found:
    """The causes that name a user's file or function."""
    found: dict[str, tuple[str, int]] = {}
    for score in scores:
        if score.cause and (kind := _THEIRS.match(score.cause)):
            cause, count = found.get(kind[0], (score.cause, 0))
            found[kind[0]] = cause, count + 1
    return found


@dataclass(slots=True)
class _Kind:
    cause: str
    """Of the first."""
    count: int = 0
    told: int = 0
    """The count that was shown last."""


@dataclass(slots=True)
class Complaints:
    """Collects causes from scores; whoever logs asks for the lines to show."""

    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def add(self, scores: Iterable[Score]) -> None:
        """Take the causes that name a user's file or function."""
        self.count(complained(scores))

    def count(self, found: Found) -> None:
        """Take what ``complained`` found, here or on another rank."""
        for name, (cause, count) in found.items():
            self._kinds.setdefault(name, _Kind(cause)).count += count

    def fresh(self) -> list[str]:
        """A line for each kind that was not shown before."""
        return [self._line(kind, "so far") for kind in self._kinds.values() if not kind.told]

    def rest(self) -> list[str]:
        """At the end: a line for each kind that was seen since it was shown."""
        return [self._line(kind, "in all") for kind in self._kinds.values() if kind.count > kind.told]

    @staticmethod
    def _line(kind: _Kind, when: str) -> str:
        kind.told = kind.count
        return f"warning: {kind.cause} (seen {kind.count} {'time' if kind.count == 1 else 'times'} {when})"
