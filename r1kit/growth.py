"""Which settings of a stage may be changed without beginning it anew: it goes on from its last state, or ends anew on
what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ENDS", "GROWS", "ends_anew", "grown"]

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

ENDS: Mapping[str, Mapping[str, Any]] = {
    "cold_start": {"review": "automatic", "review_least": 0, "review_rest": "leave_out"},
}
"""Kind of a stage -> the settings that only its end reads, with their defaults: what was sampled, and what people
decided, stays."""


def grown(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Setting -> (old, new) where two ``key.json`` differ in nothing but settings that grow, and they have grown.

    Empty otherwise: the stage is another one.
    """
    names = GROWS.get(str(after.get("kind")), ())
    old, new = before.get("settings", {}), after.get("settings", {})
    found = {name: (old[name], new[name]) for name in names if name in old and old[name] != new.get(name)}
    same = {**_rest(before), "settings": {**old, **{name: new[name] for name in found}}} == {**_rest(after)}
    return found if same and all(more > less for less, more in found.values()) else {}


def ends_anew(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two ``key.json`` differ in settings that only the stage's end reads, and in nothing else."""
    usual = ENDS.get(str(after.get("kind")), {})
    old, new = ({**usual, **key.get("settings", {})} for key in (before, after))
    same = {**old, **{name: new[name] for name in usual}} == new
    return old != new and same and {**_rest(before), "settings": None} == {**_rest(after), "settings": None}


def _rest(key: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage depends on, without what was noted beside it."""
    return {name: value for name, value in key.items() if name not in ("key", "former", "why", "grown")}
