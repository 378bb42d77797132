"""Settings of the policy loss as recipes hold them. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MODERN", "PAPER", "PRESETS", "Aggregate", "Importance", "KlEstimator", "PolicyLoss", "Ratio", "Std"]

Std = Literal["sample", "population", "none"]
Ratio = Literal["token", "sequence"]
Importance = Literal["none", "truncated", "masked"]
Aggregate = Literal["sequence-mean", "token-mean", "constant"]
KlEstimator = Literal["k1", "k2", "k3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLoss:
    """From a group's rewards to the loss of a token. The defaults are the ``modern`` preset."""

    advantage: str = "group_relative"
    """``FILE.py:NAME``: a function of your own, from a group's rewards to its advantages (``loops.own``)."""
    function: str = "policy_loss"
    """``FILE.py:NAME``: a function of your own, from ``LossTerms`` to the loss of each token (``loops.own``)."""
    std: Std = "none"
    """What a centred reward is divided by: the group's sample or population std, or nothing (Dr. GRPO)."""
    clip_low: float = 0.2
    """The ratio is clipped below at 1 - clip_low."""
    clip_high: float = 0.28
    """The ratio is clipped above at 1 + clip_high (DAPO's clip-higher)."""
    dual_clip: float | None = None
    """Largest ratio that counts where the advantage is negative (verl: 3.0); None: unbounded."""
    kl_weight: float = 0.0
    """beta in the paper."""
    kl_estimator: KlEstimator = "k3"
    kl_input_clamp: float | None = None
    """k3 only: bound on abs(log reference - log policy) before the exponential (verl: 20)."""
    kl_value_clamp: float | None = None
    """k3 only: bound on abs(value) of a token (verl: 10)."""
    ratio: Ratio = "token"
    """``sequence``: one length-normalised ratio a completion (GSPO)."""
    importance: Importance = "none"
    """Weigh each token by old / sampler, without gradient: ``truncated`` at ``importance_cap`` (TIS), or ``masked``, 0
    outside ``importance_floor`` and ``importance_cap`` (IcePop)."""
    importance_cap: float = 2.0
    importance_floor: float = 0.5
    """``masked`` only."""
    aggregate: Aggregate = "token-mean"
    """How token losses become one number: see ``maths.aggregate``."""

    def wrong(self) -> str:
        """The first number that would turn the loss round or mean nothing, and its range; empty: all can be had."""
        for name in ("clip_low", "clip_high", "kl_weight", "importance_floor"):
            if not getattr(self, name) >= 0:
                return f"{name} = {getattr(self, name)} must not be negative"
        for name, least in (("kl_input_clamp", 0), ("kl_value_clamp", 0), ("importance_cap", 0), ("dual_clip", 1)):
            if (bound := getattr(self, name)) is not None and not bound > least:
                return f"{name} = {bound} must be above {least}"
        return ""


PAPER = PolicyLoss(
    std="sample",
    clip_low=10.0,
    clip_high=10.0,
    dual_clip=3.0,
    kl_weight=0.001,
    aggregate="sequence-mean",
)
"""R1 paper, sections 2.1 and 3.2.1: clip 10 (range [-9, 11]), KL 0.001; the dual clip guards A < 0, which clip 10
leaves unbounded. The paper does not say which std; the sample one is what open code uses."""

MODERN = PolicyLoss()
"""DAPO's clip-higher and token-mean with Dr. GRPO's advantage: no std, no KL."""

PRESETS = {"paper": PAPER, "modern": MODERN}
