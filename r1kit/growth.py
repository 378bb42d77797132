"""Which settings of a stage may be raised without beginning it anew: it goes on from its last state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["GROWS", "grown"]

GROWS: Mapping[str, tuple[str, ...]] = {
    "pretrain": ("steps",),
    "r1_zero": ("steps",),
    "reasoning_rl": ("steps",),
    "cold_start_sft": ("epochs",),
    "sft": ("epochs",),
}
"""Kind of a stage -> the settings that say how long it trains. A stage that is finished keeps its last state for this
(the recipe's ``keep_state``). RL for all scenarios is not here: which tasks take part depends on how many steps are
left. Everything else, and fewer of these, begins the stage anew."""


def grown(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Setting -> (old, new) where two ``key.json`` differ in nothing but settings that grow, and they have grown.

    Empty otherwise: the stage is another one.
    """
    names = GROWS.get(str(after.get("kind")), ())
    old, new = before.get("settings", {}), after.get("settings", {})
    found = {name: (old[name], new[name]) for name in names if name in old and old[name] != new.get(name)}
    same = {**_rest(before), "settings": {**old, **{name: new[name] for name in found}}} == {**_rest(after)}
    return found if same and all(more > less for less, more in found.values()) else {}


def _rest(key: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage depends on, without what was noted beside it."""
    return {name: value for name, value in key.items() if name not in ("key", "former", "why", "grown")}
