"""Process supervision in the place of the outcome's: what each step of a completion earns (DeepSeekMath, 4.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from r1kit.loops.credit import GroupRelative
from r1kit.loops.dealing import Drawn
from r1kit.maths.advantage import Advantages, process_relative

if TYPE_CHECKING:
    from r1kit.cluster.ranks import Ranks
    from r1kit.loops.settings import RL

__all__ = ["StepsPaid"]


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
