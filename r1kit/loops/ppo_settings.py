"""Settings of PPO. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.errors import InputError
from r1kit.loops.checked import check_no_own_advantage
from r1kit.loops.settings import RL, check_least
from r1kit.maths.settings import PolicyLoss

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["PPO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PPO(RL):
    """R1-Zero's settings, and those of the value model."""

    loss: PolicyLoss = field(default_factory=PolicyLoss)
    """``kl_weight`` is the KL in the loss, as GRPO has it; ``reward_kl`` the one in the reward."""
    gae_lambda: float = 1.0
    """Of generalised advantage estimation; 1: all that is still earned less the value. Common: .95 (the paper compares
    both and finds .95 far worse on long chains)."""
    discount: float = 1.0
    """What a reward one token later counts (gamma); the paper does not state it, 1 is usual for text."""
    reward_kl: float = 0.0
    """Weight of the KL to the reference (``log policy - log reference`` of each sampled token) in the reward."""
    whiten: bool = True
    """Advantages less their mean, over their standard deviation, over all tokens of the step."""
    value_lr: float = 1e-3
    """Peak learning rate of the value model; the schedule is the policy's. Not stated in the paper."""
    value_clip: float | None = 0.2
    """How far a value may move from what it was before the step's updates and still be taught, in units of reward."""
    value_warmup: int = 0
    """First steps in which the value model learns alone and the policy stands still."""

    def is_held(self, step: int) -> bool:
        """Not while the policy stands still."""
        return step >= self.value_warmup and RL.is_held(self, step)

    def renews(self, update: int) -> bool:
        """Not where the reward has a KL too: the two have one reference, which is set anew between steps."""
        return not self.reward_kl and RL.renews(self, update)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges, and what works only with the whole batch on every rank."""
        RL.check(self, stage, recipe)
        check_no_own_advantage(self.loss, f"stages.{stage}", "PPO's advantage comes from its value model")
        check_least(self, stage, 0, "reward_kl", "value_warmup")
        for name in ("gae_lambda", "discount"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"stages.{stage}.{name} is {getattr(self, name)}; give a number from 0 to 1")
        if not self.value_lr > 0 or (self.value_clip is not None and not self.value_clip > 0):
            raise InputError(
                f"stages.{stage}: value_lr = {self.value_lr} and value_clip = {self.value_clip} must be above 0"
            )
        if self.value_warmup >= self.steps:
            raise InputError(
                f"stages.{stage}.value_warmup is {self.value_warmup} of {self.steps} steps: the policy would not learn"
            )
        if recipe.learner.kind not in ("auto", "local"):
            raise InputError(
                f"stages.{stage} is PPO, whose value model is trained by the local learner; leave out learner = "
                f"{recipe.learner.kind!r}"
            )
        if self.max_lag:
            raise InputError(f"stages.{stage}: PPO samples in turn; set max_lag = 0")
