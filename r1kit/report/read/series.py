"""A field of a log over steps, thinned so that a page stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.report.read.values import Row, number

__all__ = ["MOST_POINTS", "Series", "all_series", "constants", "five", "rolling", "series"]

MOST_POINTS = 800
"""A longer line is given as means over equal runs of steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    steps: Sequence[float]
    values: Sequence[float]
    """One a step, five significant digits."""

    def __len__(self) -> int:
        return len(self.steps)


def five(value: float) -> float:
    """Five significant digits."""
    return float(f"{value:.5g}")


def series(rows: Sequence[Row], key: str) -> Series:
    """Points of a field, thinned to at most ``MOST_POINTS`` by means over equal runs."""
    points = [(number(row, "step"), number(row, key)) for row in rows]
    held = [(at, value) for at, value in points if at is not None and value is not None]
    size = -(-len(held) // MOST_POINTS) if held else 1
    runs = [held[start : start + size] for start in range(0, len(held), size)]
    means = [five(sum(value for _, value in run) / len(run)) for run in runs]
    return Series(steps=[run[-1][0] for run in runs], values=means)


def all_series(rows: Sequence[Row]) -> dict[str, Series]:
    """Every numeric field but the step, in order of first appearance."""
    found = {key: series(rows, key) for key in dict.fromkeys(key for row in rows for key in row) if key != "step"}
    return {key: line for key, line in found.items() if len(line)}


def constants(rows: Sequence[Row]) -> dict[str, float]:
    """Fields that every row has, with the same value."""
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: {number(row, key) for row in rows} for key in keys}
    return {key: one for key, found in values.items() if len(found) == 1 and (one := next(iter(found))) is not None}


def rolling(values: Sequence[float]) -> list[float]:
    """Centred mean over a twentieth of the line: the trend behind a noisy one."""
    half = max(1, len(values) // 40)
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [five(sum(window) / len(window)) for window in windows]
