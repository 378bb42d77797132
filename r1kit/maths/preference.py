"""Losses of reward models, and how well their probabilities hold (R1 paper, Nature version, supplement on RL data)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

__all__ = ["Bin", "bradley_terry", "calibration_error", "pointwise", "reliability"]


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """``-log sigmoid(s_c - s_r)`` of each pair: the chosen one wins with probability sigmoid of the difference.

    The paper names a pairwise loss and prints no formula; this is the standard one (Bradley and Terry, 1952).

    Args:
        chosen: float [N], score of the better response.
        rejected: float [N], of the worse one.

    Returns:
        float [N]; ``log 2`` where both score alike.
    """
    return -logsigmoid(chosen - rejected)


def pointwise(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each response, float [N].

    Args:
        logits: float [N], log-odds that the label is 1.
        labels: float [N], 1 (safe) or 0 (unsafe).
    """
    return binary_cross_entropy_with_logits(logits, labels, reduction="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One row of a reliability table: what was predicted with about the same probability."""

    low: float
    high: float
    count: int
    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share that came true."""


def reliability(predicted: Sequence[float], observed: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Equal-width bins of [0, 1] that hold anything; the last one is closed, the others are open on the right."""
    held: dict[int, list[tuple[float, bool]]] = {}
    for probability, outcome in zip(predicted, observed, strict=True):
        held.setdefault(min(bins - 1, int(probability * bins)), []).append((probability, outcome))
    return [
        Bin(
            low=index / bins,
            high=(index + 1) / bins,
            count=len(pairs),
            predicted=sum(probability for probability, _ in pairs) / len(pairs),
            observed=sum(outcome for _, outcome in pairs) / len(pairs),
        )
        for index, pairs in sorted(held.items())
    ]


def calibration_error(table: Sequence[Bin]) -> float:
    """Expected calibration error: ``sum_b n_b / N * |predicted_b - observed_b|`` (Guo et al., 1706.04599, eq. 3)."""
    total = sum(row.count for row in table)
    return sum(row.count * abs(row.predicted - row.observed) for row in table) / total if total else 0.0
