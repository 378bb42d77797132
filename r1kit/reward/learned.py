"""Rewards of learned models: which one judges a completion is decided by its task (R1 paper, v2, equation 10)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from r1kit.errors import InputError, nearest
from r1kit.records import Group, Message
from r1kit.text.seen import in_tags, with_opening

__all__ = ["Judging", "LearnedReward", "Scorer", "check_routes"]


class Judging(Protocol):
    """What scores completions beside the rules: reward models, or a process reward model (``stepwise.py``)."""

    def judges(self, task: str) -> bool:
        """Whether completions of this task are scored."""
        ...

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        """A number for each completion of each group, whose tasks must all be judged."""
        ...

    def read(self) -> dict[int, int]:
        """Parameter count -> tokens that models of that size have read since this was asked last."""
        ...


class Scorer(Protocol):
    """What is needed of a reward model; ``model.reward_model.RewardModel`` is one."""

    read: int
    """Tokens scored so far."""

    @property
    def parameters(self) -> int:
        """How many it has, for what a token costs."""
        ...

    def score(
        self, questions: Sequence[str], responses: Sequence[str], *,
        histories: Sequence[Sequence[Message] | None] | None = None,
    ) -> list[float]:  # fmt: skip
        """The higher the better; each model takes the part of the response that it is meant to see.

        Args:
            histories: what stands before each question, where one of them has a chat before it.
        """
        ...


def check_routes(routes: Mapping[str, str], trained: Collection[str]) -> None:
    """Raise InputError for a task, routed to a kind of reward model, whose model is not there.

    Args:
        routes: task -> kind.
        trained: every kind that is there.
    """
    for task, kind in routes.items():
        if kind not in trained:
            raise InputError(
                f"task {task!r} is to be judged by the reward model {kind!r}; trained are "
                f"{', '.join(trained) or 'none'}.{nearest(kind, trained)}"
            )


@dataclass(frozen=True, slots=True)
class LearnedReward:
    models: Mapping[str, Scorer]
    """Kind of reward model (``helpfulness``, ``safety``) -> the model."""
    routes: Mapping[str, str]
    """Task -> kind."""
    opens: bool = False
    """The prompts end in ``<think>``, which a completion is read with."""

    def __post_init__(self) -> None:
        check_routes(self.routes, self.models)

    def read(self) -> dict[int, int]:
        """Parameter count -> tokens that models of that size have read since this was asked last."""
        found: dict[int, int] = {}
        for model in self.models.values():
            found[model.parameters] = found.get(model.parameters, 0) + model.read
            model.read = 0
        return found

    def judges(self, task: str) -> bool:
        """Whether completions of this task are judged by a model."""
        return task in self.routes

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        """A score for each completion of each group, whose tasks must all have a route; one batch a model."""
        scores: list[list[float]] = [[] for _ in groups]
        for kind in dict.fromkeys(self.routes[group.prompt.task] for group in groups):
            mine = [place for place, group in enumerate(groups) if self.routes[group.prompt.task] == kind]
            questions = [groups[place].prompt.question for place in mine for _ in groups[place].completions]
            texts = [completion.text for place in mine for completion in groups[place].completions]
            responses = list(map(with_opening if self.opens else in_tags, texts))
            histories = [groups[place].prompt.history for place in mine for _ in groups[place].completions]
            more = {"histories": histories} if any(histories) else {}
            found = iter(self.models[kind].score(questions, responses, **more))
            for place in mine:
                scores[place] = [next(found) for _ in groups[place].completions]
        return scores
