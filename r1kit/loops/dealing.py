"""Which rank holds which of a step's groups, and what the ranks tell each other of them.

A learner that holds the whole model wants every group on every rank, so that all pack the same batch. One that shares
(``update.learner.Sharing``) leaves a group with the rank that sampled it: then four numbers a group are told, and the
kinds of complaint; texts, token ids and log-probs stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from r1kit.cluster.ranks import Ranks
from r1kit.records import Group, Score
from r1kit.reward.complaints import Complaints, Found, complained

__all__ = ["Drawn", "Outcome", "Part", "Scored", "exchange", "in_turn", "is_flat"]

Scored = tuple[Group, list[Score]]


@dataclass(slots=True, kw_only=True)
class Drawn:
    """A step's groups as one rank holds them: all of them, or those that it sampled where the learner shares."""

    groups: list[Group] = field(default_factory=list)
    scores: list[list[Score]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    """Of each among the step's groups, which all ranks count in the order of the prompts."""
    loads: list[int] = field(default_factory=list)
    """Tokens of the completions of every group of the step, by place."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Seconds that it took, and how prompts were drawn."""

    @property
    def count(self) -> int:
        """Groups of the step on all ranks."""
        return len(self.loads)

    def part(self, ranks: Ranks) -> Part:
        """What this rank holds, where it does not hold all."""
        return Part(self.places, self.count, ranks)

    def took(self, *, sampling: float, scoring: float) -> None:
        """Add seconds: of sampling, and what scoring took beyond it."""
        for name, seconds in (("sample_seconds", sampling), ("score_seconds", scoring)):
            self.metrics[name] = self.metrics.get(name, 0.0) + seconds

    def take(self, outcome: Outcome, held: Scored | None) -> None:
        """The step's next group; ``held``: by this rank."""
        if held is not None:
            self.groups.append(held[0])
            self.scores.append(held[1])
            self.places.append(self.count)
        self.loads.append(outcome.tokens)


@dataclass(frozen=True, slots=True)
class Part:
    """Where the groups that one rank holds stand among all of a step."""

    places: Sequence[int]
    count: int
    """Groups on all ranks."""
    ranks: Ranks


class Outcome(NamedTuple):
    """What every rank knows of a group, wherever it was sampled."""

    tokens: int
    """Of its completions."""
    flat: bool
    """All earned the same."""
    right: float
    """Sum of the accuracies."""
    seen: int
    """Completions that have an accuracy."""


def exchange(
    ranks: Ranks, mine: Sequence[Scored], shares: bool, complaints: Complaints
) -> list[tuple[Outcome, Scored | None]]:
    """Every group of all ranks, in the order of the prompts that were dealt out in turn; a collective.

    Args:
        ranks: rank r has what was dealt at r, r + R, r + 2 R ...
        mine: this rank's.
        shares: whether groups stay where they are: then those of other ranks come as None.
        complaints: takes in what went wrong on any rank.
    """
    if not shares:
        whole = in_turn(ranks.gather_objects(list(mine)))
        for _, scores in whole:
            complaints.add(scores)
        return [(_outcome(one), one) for one in whole]
    told: list[tuple[list[Outcome], Found]] = ranks.gather_objects(
        ([_outcome(one) for one in mine], complained(score for _, scores in mine for score in scores))
    )
    for _, found in told:
        complaints.count(found)
    held = [list(mine) if rank == ranks.rank else [None] * len(theirs) for rank, (theirs, _) in enumerate(told)]
    return list(zip(in_turn([theirs for theirs, _ in told]), in_turn(held), strict=True))


def is_flat(scores: Sequence[Score]) -> bool:
    """Whether all earned the same, so that a group has no advantage; where steps are scored, these are what is paid."""
    earned = [value for score in scores for _, value in score.steps] or [score.total for score in scores]
    return all(one == earned[0] for one in earned)


def _outcome(one: Scored) -> Outcome:
    group, scores = one
    values = [score.parts["accuracy"] for score in scores if "accuracy" in score.parts]
    tokens = sum(len(completion.token_ids) for completion in group.completions)
    return Outcome(tokens, is_flat(scores), sum(values), len(values))


def in_turn(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The ranks' items, one of each rank in turn."""
    return [share[i] for i in range(max(map(len, shares))) for share in shares if i < len(share)]
