"""Completions -> scores: the rules of their task, and the reward models' part where one scores that task."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from r1kit.records import Group, Score
from r1kit.reward.learned import Judging
from r1kit.reward.stepwise import Stepwise
from r1kit.reward.verifier import Verifying

__all__ = ["Scorer", "Scoring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    verifier: Verifying
    """Holds the rules, in processes of its own."""
    models: Judging | None = None
    """Reward models, or a process reward model, for the tasks that they score."""
    weight: float = 1.0
    """Of a reward model's score in the reward; a process reward model's steps are paid by the loop's credit."""

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """A score for each completion: rules, and where a model scores the task ``weight`` times its score, which is
        the part ``preference``."""
        return self.with_models(groups, self.verifier.score_groups(groups))

    def with_models(self, groups: Sequence[Group], scores: Sequence[Sequence[Score]]) -> list[list[Score]]:
        """The rules' scores with the reward models' part added, or with the scores of steps."""
        if isinstance(self.models, Stepwise):
            return self._with_steps(groups, scores, self.models)
        return [
            [self._preferred(score, value) for score, value in zip(row, values, strict=True)] if values else list(row)
            for row, values in zip(scores, self.model_scores(groups), strict=True)
        ]

    def _with_steps(
        self, groups: Sequence[Group], scores: Sequence[Sequence[Score]], models: Stepwise
    ) -> list[list[Score]]:
        judged = [place for place, group in enumerate(groups) if models.judges(group.prompt.task)]
        steps = dict(zip(judged, models.steps([groups[place] for place in judged]), strict=True))
        return [
            [replace(score, steps=own) for score, own in zip(row, steps[place], strict=True)]
            if place in steps
            else list(row)
            for place, row in enumerate(scores)
        ]

    def begin(self) -> Scoring:
        """Scores groups that come one by one, while the caller goes on."""
        return Scoring(self)

    def model_scores(self, groups: Sequence[Group]) -> list[list[float]]:
        """The reward models' scores of each group's completions; none for a group that no model scores."""
        found: list[list[float]] = [[] for _ in groups]
        if self.models is None:
            return found
        places = [place for place, group in enumerate(groups) if self.models.judges(group.prompt.task)]
        for place, values in zip(places, self.models.score([groups[place] for place in places]), strict=True):
            found[place] = values
        return found

    def read(self) -> dict[int, int]:
        """Parameter count -> tokens that reward models of that size have read since this was asked last."""
        return {} if self.models is None else self.models.read()

    def _preferred(self, score: Score, value: float) -> Score:
        total = score.total + self.weight * value
        return replace(score, total=total, parts={**score.parts, "preference": value})


class Scoring:
    """Groups on their way through the verifier's processes; reward models are asked at the end, all at once."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._groups: dict[int, Group] = {}
        self._scores: dict[int, Future[list[Score]]] = {}

    def add(self, place: int, group: Group) -> None:
        """Hand a group over."""
        self._groups[place], self._scores[place] = group, self._scorer.verifier.submit(group)

    def result(self) -> list[list[Score]]:
        """Scores of all groups, by their places; waits for them."""
        places = sorted(self._groups)
        groups = [self._groups[place] for place in places]
        return self._scorer.with_models(groups, [self._scores[place].result() for place in places])
