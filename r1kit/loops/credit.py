"""What each completion of a step is worth: beside its group's mean (GRPO), by the steps that are paid (DeepSeekMath,
4.1.3), or by a value model (``ppo.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from r1kit.loops.dealing import Drawn
from r1kit.loops.own import ADVANTAGES, OwnAdvantage
from r1kit.loops.settings import RL
from r1kit.maths.advantage import Advantages, group_relative, process_relative
from r1kit.records import Score
from r1kit.resume import Resumable
from r1kit.update.learner import Weighed

if TYPE_CHECKING:
    from r1kit.cluster.ranks import Ranks

__all__ = ["Credit", "GroupRelative", "StepsPaid", "advantages_of"]


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


class StepsPaid(GroupRelative):
    """See ``loops.credit.Credit``: all that is paid are scores of steps, which the scorer left in ``Score.steps``."""

    def __init__(self, config: RL, ranks: Ranks) -> None:
        super().__init__(config)
        self._ranks = ranks

    def advantages(self, drawn: Drawn, step: int) -> Advantages:
        """float32 [n] of every completion; steps are pooled over its group."""
        return [
            process_relative(
                [[value for _, value in score.steps] for score in scores],
                [[end for end, _ in score.steps] for score in scores],
                [len(one.token_ids) for one in group.completions],
                self._config.loss.std,
            )
            for group, scores in zip(drawn.groups, drawn.scores, strict=True)
        ]

    def learn(self, drawn: Drawn, step: int) -> dict[str, float]:
        """Nothing is learnt here; what the steps earned, over all ranks."""
        own = [score.steps for scores in drawn.scores for score in scores]
        values = [value for steps in own for _, value in steps]
        shares = self._ranks.gather_objects((sum(values), len(values), len(own)))
        total, steps, completions = (sum(share[place] for share in shares) for place in range(3))
        return {
            "process_reward": total / max(1, steps),
            "process_sum": total / completions,
            "process_steps": steps / completions,
        }
