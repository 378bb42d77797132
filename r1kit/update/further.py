"""The token after the next as a target (multi-token prediction of depth 1; DeepSeek-V3, 2412.19437, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from r1kit.update.learner import Batch
from r1kit.update.pack import MicroBatch
from r1kit.update.terms import fixed_terms

__all__ = ["further_targets", "told_further"]


def further_targets(batch: Batch, micro: MicroBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Of documents alone: packed tokens [m] that have one after the next, that one, and the weight of its loss.

    Token i predicts target i, so the next target of the same row is two tokens on.
    """
    _, weights = fixed_terms(batch, micro)
    last = torch.tensor(micro.lengths).cumsum(0) - 1
    inside = torch.ones(len(micro.targets), dtype=torch.bool)
    inside[last] = False
    index = inside.nonzero()[:, 0].to(micro.targets.device)
    return index, micro.targets[index + 1], weights[index + 1]


def told_further(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics of an update, their ``further_loss`` a mean over the tokens that it is of."""
    if count := metrics.pop("further_tokens", 0.0):
        metrics["further_loss"] /= count
    return metrics
