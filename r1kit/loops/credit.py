"""What each completion of a step is worth: its group's mean as the measure (GRPO), or a value model (``ppo.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from r1kit.loops.dealing import Drawn
from r1kit.loops.own import ADVANTAGES, OwnAdvantage
from r1kit.loops.settings import RL
from r1kit.maths.advantage import Advantages, group_relative
from r1kit.records import Score
from r1kit.resume import Resumable
from r1kit.update.learner import Weighed

__all__ = ["Credit", "GroupRelative", "advantages_of"]


class Credit(Protocol):
    """From rewards to advantages. Every rank calls every method, in the same order."""

    def advantages(self, drawn: Drawn, step: int) -> Advantages:
        """What each completion, or each of its tokens, is better than was to be expected."""
        ...

    def learn(self, drawn: Drawn, step: int) -> dict[str, float]:
        """After the policy's updates: whatever has to learn from the step itself; metrics equal on every rank."""
        ...

    @property
    def learners(self) -> tuple[Weighed, ...]:
        """Learners beside the policy's."""
        ...

    def beside(self, state: Resumable) -> Resumable:
        """What must survive a kill: the policy's state, and what is kept here."""
        ...


class GroupRelative:
    """Rewards beside those of the same prompt's other completions (R1 paper, equation 3), or what a user's
    function makes of them: nothing has to be learnt."""

    def __init__(self, config: RL) -> None:
        self._config = config
        named = config.loss.advantage
        self._own = None if named in ADVANTAGES else OwnAdvantage(named)

    def advantages(self, drawn: Drawn, step: int) -> Advantages:
        if self._own:
            return [self._own(group, scores, step) for group, scores in zip(drawn.groups, drawn.scores, strict=True)]
        return advantages_of(drawn.scores, self._config)

    def learn(self, drawn: Drawn, step: int) -> dict[str, float]:
        return {}

    @property
    def learners(self) -> tuple[Weighed, ...]:
        return ()

    def beside(self, state: Resumable) -> Resumable:
        return state


def advantages_of(scores: Sequence[Sequence[Score]], config: RL) -> list[Tensor]:
    """Group-relative advantages, float32 [G] for each group."""
    return [
        group_relative(torch.tensor([score.total for score in group], dtype=torch.float64), config.loss.std)
        for group in scores
    ]
