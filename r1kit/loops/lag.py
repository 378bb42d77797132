"""What a stage that samples ahead of its learner may ask for. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from r1kit.errors import InputError
from r1kit.registry import is_reference

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["check_lag", "depth"]


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
    if loss.importance == "none" and loss.clip_low >= 1 and loss.dual_clip is None:
        raise InputError(
            f"{where}: max_lag = {config.max_lag} needs a bound on how far the policy is from its sampler, and with "
            f'loss.clip_low = {loss.clip_low:g}, no dual_clip and importance = "none" a negative advantage has none; '
            f'set loss.importance = "truncated" or "masked", or loss.dual_clip'
        )
