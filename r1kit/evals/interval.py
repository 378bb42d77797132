"""Bootstrap intervals over clusters of problems, which are not independent; and of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "bootstrap_means", "mean_interval", "paired_difference"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its percentile-bootstrap interval."""

    mean: float
    low: float
    high: float
    clusters: int
    """Independent units behind it; with one, the interval has no width and says nothing."""


def bootstrap_means(values: Floats, clusters: Sequence[str], resamples: int = 1000, seed: int = 0) -> Floats:
    """Means over resampled clusters, [resamples]. Whole clusters are drawn with replacement, as many as there are.

    Args:
        values: one a problem, [problems].
        clusters: the cluster of each problem.
        resamples: bootstrap draws.
        seed: of the draws; the same clusters and seed give the same draws, so two calls are paired.
    """
    assert len(values) == len(clusters) > 0, (len(values), len(clusters))
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    member = np.array([names[name] for name in clusters])
    sums = np.bincount(member, weights=values, minlength=len(names))
    sizes = np.bincount(member, minlength=len(names)).astype(np.float64)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=resamples).astype(np.float64)
    means: Floats = (draws @ sums) / (draws @ sizes)
    return means


def mean_interval(
    values: Floats, clusters: Sequence[str], resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Mean over problems with its interval, clustered."""
    means = bootstrap_means(values, clusters, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        mean=float(np.mean(values)), low=float(low), high=float(high), clusters=len(dict.fromkeys(clusters))
    )


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
