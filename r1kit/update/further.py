"""The token after the next as a target (multi-token prediction of depth 1; DeepSeek-V3, 2412.19437, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from r1kit.update.learner import Batch, Row
from r1kit.update.pack import MicroBatch
from r1kit.update.terms import fixed_terms

__all__ = ["as_documents", "further_targets", "told_further"]


def as_documents(batch: Batch, rows: Sequence[int]) -> Batch:
    """Rows with their prompts before them, each a document; a prompt's tokens weigh nothing. Documents are left out.

    Shared prompts do not do here: what follows a prompt's last token, which that layer reads, is each row's own.
    """
    found = []
    for one in (batch.rows[row] for row in rows if batch.rows[row].prompt >= 0):
        prompt = batch.prompts[one.prompt]
        weight = torch.as_tensor(one.weight, dtype=torch.float32).expand(len(one.tokens))
        whole = torch.cat([torch.zeros(len(prompt)), weight])
        found.append(Row(prompt=-1, tokens=torch.cat([prompt, one.tokens]), weight=whole, advantage=1.0))
    return Batch(prompts=(), rows=found)


def further_targets(batch: Batch, micro: MicroBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Of documents alone: packed tokens [m] that have one after the next which weighs something, that one, and the
    weight of its loss; nothing of a micro-batch without rows.

    Token i predicts target i, so the next target of the same row is two tokens on.
    """
    if not micro.rows:
        nothing = micro.targets[:0]
        return nothing, nothing, nothing.float()
    _, weights = fixed_terms(batch, micro)
    last = torch.tensor(micro.lengths).cumsum(0) - 1
    inside = torch.ones(len(micro.targets), dtype=torch.bool)
    inside[last] = False
    index = inside.nonzero()[:, 0].to(micro.targets.device)
    index = index[weights[index + 1] != 0]
    return index, micro.targets[index + 1], weights[index + 1]


def told_further(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics of an update, their ``further_loss`` a mean over the tokens that it is of."""
    if count := metrics.pop("further_tokens", 0.0):
        metrics["further_loss"] /= count
    return metrics
