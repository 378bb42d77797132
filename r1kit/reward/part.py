"""The contract of a part of a reward. Ours are one a file here; a user's functions are parts too (``user.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from r1kit.errors import R1Error
from r1kit.records import Prompt
from r1kit.reward.messages import Job
from r1kit.tasks.task import Task

if TYPE_CHECKING:
    from r1kit.reward.settings import RewardConfig

__all__ = ["BuildReward", "Mark", "Ours", "Reward"]


class Mark(NamedTuple):
    """What a part says of one completion."""

    value: float | None
    """Unweighted; None: it abstains, and counts for nothing."""
    more: Mapping[str, float] | None = None
    """Further numbers to log, as ``PART/NAME``; they are not paid."""
    answer: str | None = None
    """The answer in canonical form, for majority votes; ``accuracy`` alone says it."""


class Reward(Protocol):
    """A part of a reward: a mark for each completion of one prompt. Runs in a verifier process."""

    grouped: bool
    """Whether it sees all completions of a group at once, under one deadline; otherwise one completion a call."""
    where: str
    """``my_rewards.py:brevity`` for a user's function, ``my_task.py:Sums`` for a rule of his task; empty for ours."""

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> Sequence[Mark]:
        """As many marks as jobs, in their order."""
        ...

    def told(self, error: BaseException) -> str:
        """One line on what it raised."""
        ...


class BuildReward(Protocol):
    """Makes a part of ours from the reward's settings and the task whose completions are judged."""

    def __call__(self, config: RewardConfig, task: Task) -> Reward: ...


class Ours:
    """What parts of ours share."""

    grouped = False
    where = ""

    def told(self, error: BaseException) -> str:
        """A user's task says the line of his file itself, by an error of ours."""
        kind = "" if isinstance(error, R1Error) else f"{type(error).__name__}: "
        return " ".join(f"{kind}{str(error)[:300]}".split())
