"""What went wrong in a user's own code, shown once a kind with a count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from r1kit.records import Score

__all__ = ["Complaints"]

_THEIRS = re.compile(r"\S+:[\w.]+:? (gave )?\w+")
"""How a cause in a user's file begins, and what makes its kind: ``my_rewards.py:12: KeyError``, ``my.py:f gave nan``,
``my_task.py:Sums.grade gave None``."""


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
        for score in scores:
            if score.cause and (found := _THEIRS.match(score.cause)):
                kind = self._kinds.setdefault(found[0], _Kind(score.cause))
                kind.count += 1

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
