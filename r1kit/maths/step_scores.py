"""What the scores of its steps make of a whole solution, and which solution they choose (Math-Shepherd, 2312.08935)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

__all__ = ["AGGREGATES", "Aggregate", "of_steps", "picked"]

Aggregate = Literal["min", "last", "mean", "product", "sum"]
"""What a solution is worth by its steps: its weakest (Math-Shepherd, 2312.08935, equation 5), its last, their mean,
their product, or their sum (which is what process GRPO pays before it is normalised)."""
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)


def of_steps(rewards: Sequence[float], how: Aggregate) -> float:
    """One number for a solution of at least one step."""
    if how == "min":
        return min(rewards)
    if how == "last":
        return rewards[-1]
    if how == "product":
        return math.prod(rewards)
    return sum(rewards) / (len(rewards) if how == "mean" else 1)


def picked(values: Sequence[float], right: Sequence[float]) -> float:
    """Accuracy of the sample with the highest value; among those tied for it the mean, as a fair draw expects."""
    best = max(values)
    tied = [one for one, value in zip(right, values, strict=True) if value == best]
    return sum(tied) / len(tied)
