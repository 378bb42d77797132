"""Reading a parsed file that may be damaged or of another version: whatever does not fit counts as missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["Row", "interval_of", "mapping", "number", "objects"]

Row = Mapping[str, Any]
"""A JSON object, for example one line of a log."""


def number(row: Row, key: str) -> float | None:
    """The field as a finite float; None if it is missing, not a number, NaN, infinite or beyond any float."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def mapping(value: object) -> Row:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects(value: object) -> list[Row]:
    """The JSON objects of a list; empty if it is no list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def interval_of(row: Row, key: str = "interval") -> tuple[float, float] | None:
    """``[low, high]`` of a row; None if it is missing or broken."""
    ends = row.get(key)
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return None
    low, high = (number({"end": end}, "end") for end in ends)
    return None if low is None or high is None else (low, high)
