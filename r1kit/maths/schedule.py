"""Learning-rate schedules."""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["Shape", "learning_rate"]

Shape = Literal["constant", "linear", "cosine"]


def learning_rate(
    step: int, *, steps: int, peak: float, warmup: int = 0, shape: Shape = "constant", floor: float = 0.0
) -> float:
    """Rate of update ``step`` (0-based) of ``steps``.

    The first ``warmup`` updates rise linearly, ``peak * (step + 1) / warmup``; from there to the last update the rate
    goes from ``peak`` to ``floor * peak``, along a line or half a cosine, or stays.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if shape == "constant":
        return peak
    done = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
    left = 1 - done if shape == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return peak * (floor + (1 - floor) * left)
