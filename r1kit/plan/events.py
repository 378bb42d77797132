"""Activities side by side: a clock that goes from one end to the next, and shares a host's cores out fairly."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

__all__ = ["Clock"]


@dataclass(slots=True)
class _Activity:
    ends: float
    """By the work that each running activity has been given since the beginning."""
    began: float
    """By the clock."""
    then: Callable[[], None]


@dataclass(slots=True)
class Clock:
    """Where more activities run than there are cores, each gets an equal share of them, so all go at one speed."""

    cores: float = 0.0
    """0: every activity has a device of its own."""
    now: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)
    """Activity's name -> seconds in which it ran, at whatever speed."""
    _work: float = 0.0
    """Seconds at full speed that an activity has been given that ran from the beginning."""
    _running: dict[str, _Activity] = field(default_factory=dict)
    _ends: list[tuple[float, int, str]] = field(default_factory=list)
    """Heap of (end, number, name); what was stopped is passed over."""
    _numbers: count[int] = field(default_factory=count)

    def start(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        """Run an activity of so many seconds at full speed; ``then`` is called when it has ended."""
        assert name not in self._running, name
        self._running[name] = _Activity(self._work + seconds, self.now, then)
        heapq.heappush(self._ends, (self._work + seconds, next(self._numbers), name))

    def stop(self, name: str) -> float:
        """End an activity; the seconds at full speed that were left of it, 0 where it does not run."""
        activity = self._running.pop(name, None)
        if activity is None:
            return 0.0
        self.busy[name] = self.busy.get(name, 0.0) + self.now - activity.began
        return max(0.0, activity.ends - self._work)

    def used(self, prefix: str) -> float:
        """Seconds in which activities of names that begin so ran, up to now."""
        ended = sum(seconds for name, seconds in self.busy.items() if name.startswith(prefix))
        return ended + sum(self.now - one.began for name, one in self._running.items() if name.startswith(prefix))

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Go on until nothing runs, or ``until`` says so after an end."""
        while self._ends and not until():
            end, _, name = heapq.heappop(self._ends)
            activity = self._running.get(name)
            if activity is None or activity.ends != end:
                continue
            speed = min(1.0, self.cores / len(self._running)) if self.cores else 1.0
            self.now += (end - self._work) / speed
            self._work = end
            self.stop(name)
            activity.then()
