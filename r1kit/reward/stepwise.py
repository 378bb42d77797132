"""A process reward model's scores: a completion cut into steps, each scored at its end (Math-Shepherd, 2312.08935)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from r1kit.maths.step_scores import Aggregate, of_steps
from r1kit.records import Group
from r1kit.search.steps import Cutter

if TYPE_CHECKING:
    from r1kit.records import Completion

__all__ = ["StepModel", "Stepwise"]

StepScores = tuple[tuple[int, float], ...]


class StepModel(Protocol):
    """What is needed of a process reward model; ``model.reward_model.RewardModel`` is one."""

    read: int
    """Tokens scored so far."""

    @property
    def parameters(self) -> int:
        """How many it has, for what a token costs."""
        ...

    def steps_of(self, rows: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], budget: int) -> list[list[float]]:
        """Probability that each step is a good one."""
        ...


@dataclass(frozen=True, slots=True)
class Stepwise:
    """See ``reward.learned.Judging``. What it watches of a completion is ``told``, of its steps."""

    model: StepModel
    cut: Cutter
    tasks: frozenset[str]
    """Whose completions it scores."""
    told: Aggregate = "sum"
    budget: int = 16384
    """Most tokens in one forward pass: bounds memory."""

    def judges(self, task: str) -> bool:
        """Whether completions of this task are scored."""
        return task in self.tasks

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        """One number a completion."""
        return [[self._of(steps) for steps in row] for row in self.steps(groups)]

    def _of(self, steps: StepScores) -> float:
        return of_steps([value for _, value in steps], self.told) if steps else 0.0

    def steps(self, groups: Sequence[Group]) -> list[list[StepScores]]:
        """(tokens of the completion up to its end, score) of each step of each completion; one batch."""
        each = [(group, completion, self.ends(completion)) for group in groups for completion in group.completions]
        rows = [(*group.prompt_ids, *completion.token_ids) for group, completion, _ in each]
        places = [[len(group.prompt_ids) + end for end in ends] for group, _, ends in each]
        scores = iter(self.model.steps_of(rows, places, self.budget))
        found = iter([tuple(zip(ends, next(scores), strict=True)) for _, _, ends in each])
        return [[next(found) for _ in group.completions] for group in groups]

    def ends(self, completion: Completion) -> tuple[int, ...]:
        """Tokens up to the end of each step; the last one ends with the completion."""
        return self.cut.ends(completion.token_ids)

    def read(self) -> dict[int, int]:
        """Parameter count -> tokens read since this was asked last."""
        count, self.model.read = self.model.read, 0
        return {self.model.parameters: count} if count else {}
