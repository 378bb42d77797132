"""What a stage that samples ahead, or does without slow verdicts, may ask for. No torch: ``r1 check`` reads this."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from r1kit.errors import InputError
from r1kit.registry import is_reference

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Verdicts", "check_lag", "depth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """How a step waits for its verdicts (``late.py``). But for ``wait``, timing decides what a step learns from."""

    slow: Literal["wait", "carry", "drop"] = "wait"
    """A group whose verdict is still to come when all is sampled is waited for; or, after ``patience``, learnt from at
    a later step, or left out and counted."""
    patience: float = 0.0
    """Seconds that a step waits for verdicts once all is sampled, before it does without."""
    carry_steps: int = 1
    """Steps that a group is carried over at most; then it is waited for."""


def depth(config: Any) -> int:
    """Of an RL stage: steps whose prompts are out while a step is learnt from.

    In turn, all that the bound allows. Where whichever is ready is taken, half of it (rounded up): what is overtaken
    ages meanwhile, and with all of the bound in flight every group would be due as soon as it is dealt.
    """
    lag: int = config.max_lag
    return lag if config.order == "in_turn" else (lag + 1) // 2


def check_lag(config: Any, stage: str, recipe: Recipe) -> None:
    """Refuse an RL stage whose engine cannot sample meanwhile, or whose loss cannot correct for what is old.

    A stale token's old log-prob is its sampler's: the ratio to it must be bounded, by the clip or by ``importance``.
    """
    where, loss = f"stages.{stage}", config.loss
    if config.max_lag < 0:
        raise InputError(f"{where}.max_lag = {config.max_lag}: must be at least 0")
    if loss.importance == "masked" and not 0 <= loss.importance_floor < loss.importance_cap:
        raise InputError(
            f"{where}.loss: importance_floor = {loss.importance_floor} must be at least 0 and below importance_cap = "
            f"{loss.importance_cap}"
        )
    if config.old_logprobs == "sampler" and loss.importance != "none":
        raise InputError(
            f'{where}.old_logprobs = "sampler" leaves loss.importance = "{loss.importance}" nothing to weigh: that is '
            f"the trainer's own over the sampler's; drop one of them"
        )
    _check_slow(config, where)
    if not config.max_lag:
        for name, plain in (("over_update", "wait"), ("order", "in_turn"), ("late", "wait")):
            if (value := getattr(config, name)) != plain:
                raise InputError(f'{where}.{name} = "{value}" says how to sample ahead; set max_lag above 0 too')
        return
    if config.late == "drop" and config.order == "in_turn":
        raise InputError(f'{where}.late = "drop" is for order = "ready"; in turn every group is waited for')
    engine = recipe.engine
    apart = recipe.cluster.engines > 0 or bool(getattr(engine.settings, "address", "")) or is_reference(engine.kind)
    if not apart:
        raise InputError(
            f"{where}.max_lag = {config.max_lag} needs an engine that samples while the learner learns: set [cluster] "
            f'engines = 1 or more, or engine = {{kind = "vllm", address = ["http://..."]}}, or max_lag = 0'
        )
    if config.sampling.top_p < 1:
        raise InputError(
            f"{where}: max_lag = {config.max_lag} corrects with the sampler's log-probs, which sampling.top_p = "
            f"{config.sampling.top_p} cuts and the learner's do not; set sampling.top_p = 1 or max_lag = 0"
        )
    _check_bound(config, where, f"max_lag = {config.max_lag}")


def _check_slow(config: Any, where: str) -> None:
    """What is done with slow verdicts, where sampling ahead does not see to it."""
    verdicts: Verdicts = config.verdicts
    if verdicts.slow == "wait":
        for name in ("patience", "carry_steps"):
            if (value := getattr(verdicts, name)) != getattr(Verdicts(), name):
                raise InputError(f'{where}.verdicts.{name} = {value} is for slow = "carry" or "drop"; set that too')
        return
    if config.max_lag:
        raise InputError(
            f'{where}.verdicts.slow = "{verdicts.slow}" is for max_lag = 0; ahead of the learner order = "ready" does '
            f"it, and late says what becomes of the slow ones"
        )
    if not 0 <= verdicts.patience < math.inf or verdicts.carry_steps < 1:
        raise InputError(
            f"{where}.verdicts: patience = {verdicts.patience} must be at least 0 and carry_steps = "
            f"{verdicts.carry_steps} at least 1"
        )
    if verdicts.slow == "drop" and verdicts.carry_steps != Verdicts().carry_steps:
        raise InputError(
            f'{where}.verdicts.carry_steps = {verdicts.carry_steps} is for slow = "carry"; slow = "drop" learns from '
            f"no group later"
        )
    if verdicts.slow == "carry":
        _check_bound(config, where, 'verdicts.slow = "carry"')


def _check_bound(config: Any, where: str, what: str) -> None:
    """Refuse a loss that does not bound how far the policy may be from what it learns from."""
    loss = config.loss
    if loss.importance == "none" and loss.clip_low >= 1 and loss.dual_clip is None:
        raise InputError(
            f"{where}: {what} needs a bound on how far the policy is from its sampler, and with "
            f'loss.clip_low = {loss.clip_low:g}, no dual_clip and importance = "none" a negative advantage has none; '
            f'set loss.importance = "truncated" or "masked", or loss.dual_clip'
        )
