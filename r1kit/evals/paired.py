"""The difference of two evaluations of the same problems, paired by problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from r1kit.evals.interval import mean_interval

__all__ = ["paired_difference"]


def paired_difference(
    one: Sequence[float], other: Sequence[float], clusters: Sequence[str], resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Mean of ``one - other`` with its 95% interval, clustered.

    Args:
        one, other: accuracy of each problem, in the same order (``per_problem`` of ``eval.jsonl``).
        clusters: the cluster of each problem.
    """
    found = mean_interval(np.array(one) - np.array(other), clusters, resamples, seed)
    return {"difference": found.mean, "interval": [found.low, found.high], "problems": len(one)}
