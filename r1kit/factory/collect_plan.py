"""Which prompts a collection asks, and by which route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from r1kit.records import Prompt
from r1kit.seeds import training_index
from r1kit.tasks.task import Task

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which prompts each step asks, and by which route: a pure function of the step."""

    tasks: Mapping[str, Task]
    """Asked in turn."""
    routes: Mapping[str, int]
    """Route -> prompts to ask by it; one route after the other, no prompt number twice."""
    per_step: int
    seed: int
    _steps: list[tuple[str, range]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        first = 0
        for route, count in self.routes.items():
            for begin in range(0, count, self.per_step):
                self._steps.append((route, range(first + begin, first + min(count, begin + self.per_step))))
            first += count

    def __len__(self) -> int:
        return len(self._steps)

    def step(self, number: int, rank: int = 0, ranks: int = 1) -> tuple[str, list[tuple[int, Prompt]]]:
        """The step's route and a rank's share of its prompts, each with its running number."""
        route, places = self._steps[number]
        return route, [(place, self.prompt(place)) for place in places[rank::ranks]]

    def prompt(self, place: int) -> Prompt:
        """The prompt of a running number."""
        names = list(self.tasks)
        task = self.tasks[names[place % len(names)]]
        return task.train(training_index(self.seed, place // len(names)))
