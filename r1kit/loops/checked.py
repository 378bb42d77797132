"""What the settings of many kinds of stages are looked through for. No torch here."""

from __future__ import annotations

from itertools import takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from r1kit.errors import InputError
from r1kit.maths.settings import PolicyLoss

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["check_least", "check_no_own_advantage", "check_source"]


def check_least(config: Any, stage: str, least: int, *keys: str) -> None:
    """Refuse a stage's settings, by dotted name, that are below ``least``; one that is None is not set."""
    for key in keys:
        value = attrgetter(key)(config)
        if value is not None and value < least:
            raise InputError(f"stages.{stage}.{key} = {value}: must be at least {least}")


def check_no_own_advantage(loss: PolicyLoss, where: str, instead: str) -> None:
    """Refuse an advantage of a user's own where none is taken over a group."""
    if loss.advantage != PolicyLoss().advantage:
        raise InputError(f"{where}.loss.advantage is not read: {instead}; drop it, or use kind r1_zero or reasoning_rl")


def check_source(source: str, stage: str, recipe: Recipe, wanted: str = "a model") -> None:
    """Refuse an input that leaves something else than a stage needs."""
    left = recipe.leaves(source)
    if left != wanted:
        earlier = takewhile(lambda name: name != stage.partition(".")[0], recipe.stages)
        others = [name for name in earlier if recipe.leaves(name) == wanted]
        told = f"{wanted}, as {', '.join(others)} leave" if others else f"{wanted}, which no earlier stage leaves"
        raise InputError(f"stages.{stage} takes in {source!r}, which leaves {left}; it needs {told}")
