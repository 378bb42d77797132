"""Which rollouts a person asks for: a filter out of an address, and what it is in SQL."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from r1kit.errors import InputError, nearest

__all__ = ["ORDERS", "Filter", "filter_of"]

ORDERS = {
    "newest": "place DESC, step DESC, id",
    "oldest": "place, step, id",
    "reward": "reward DESC, id",
    "-reward": "reward IS NULL, reward, id",
    "longest": "tokens DESC, id",
    "shortest": "tokens IS NULL, tokens, id",
    "advantage": "advantage DESC, id",
    "-advantage": "advantage IS NULL, advantage, id",
}
"""What is not known comes last."""
_LONGEST = 500
_RIGHT = {"yes": "right = 1", "no": "right = 0", "ungraded": "right IS NULL"}
_EXACT = {"stage": "stage", "kind": "kind", "task": "task", "language": "language", "model": "model"}
_EXACT |= {"finish": "finish", "status": "status"}
_RANGES = {
    "step_from": "step >= ?", "step_to": "step <= ?", "tokens_from": "tokens >= ?", "tokens_to": "tokens <= ?",
    "reward_from": "reward >= ?", "reward_to": "reward <= ?",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Empty fields ask for nothing; all others must hold."""

    stage: str = ""
    kind: str = ""
    """``train`` or ``evaluation``."""
    task: str = ""
    step_from: float | None = None
    step_to: float | None = None
    part: str = ""
    """A part of the reward; rollouts that have it."""
    part_from: float | None = None
    part_to: float | None = None
    reward_from: float | None = None
    reward_to: float | None = None
    right: Literal["", "yes", "no", "ungraded"] = ""
    tokens_from: float | None = None
    tokens_to: float | None = None
    language: str = ""
    """Of the completion, as ``entry.language_of`` says it."""
    text: str = ""
    """Words in a row of the prompt or of the completion, see ``words.holds``."""
    cause: str = ""
    """Some of what went wrong in judging it, in any case."""
    finish: str = ""
    status: str = ""
    model: str = ""

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL over the table ``rollouts`` and its values; ``text`` is left to whoever knows the full-text tables."""
        said, values = ([], []) if not self.right else ([_RIGHT[self.right]], [])
        for field, column in _EXACT.items():
            if value := getattr(self, field):
                said.append(f"{column} = ?")
                values.append(value)
        for field, condition in _RANGES.items():
            if (value := getattr(self, field)) is not None:
                said.append(condition)
                values.append(value)
        if self.part:
            value_of = "(SELECT value FROM json_each(parts) WHERE key = ?)"
            low = -math.inf if self.part_from is None else self.part_from
            high = math.inf if self.part_to is None else self.part_to
            said.append(f"{value_of} BETWEEN ? AND ?")
            values += [self.part, low, high]
        if self.cause:
            said.append("instr(lower(cause), lower(?))")
            values.append(self.cause)
        return said, values


def filter_of(asked: Mapping[str, str]) -> Filter:
    """Out of the parameters of an address.

    Raises:
        InputError: an unknown parameter, or a value that none of its kind can be.
    """
    names = {field.name for field in dataclasses.fields(Filter)}
    found: dict[str, Any] = {}
    for name, value in asked.items():
        if name not in names:
            raise InputError(f"unknown parameter {name!r}.{nearest(name, names)}")
        if len(value) > _LONGEST:
            raise InputError(f"{name} is longer than {_LONGEST} characters")
        if not value.strip():
            continue
        found[name] = _number(name, value) if name.endswith(("_from", "_to")) else value
    if found.get("right", "yes") not in _RIGHT:
        raise InputError(f"right is {', '.join(_RIGHT)}; got {found['right']!r}")
    return Filter(**found)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} must be a number, got {text!r}")
    return value
