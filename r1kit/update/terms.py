"""What a loss sees of a batch: the terms that do not depend on the weights, flat over the tokens of a micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.maths.loss_terms import LossTerms
from r1kit.update.learner import Batch, Row
from r1kit.update.pack import MicroBatch

__all__ = ["FixedTerms", "fixed_terms", "flat_of", "with_logprobs"]


@dataclass(frozen=True, slots=True)
class FixedTerms:
    """For all tokens [M] of a micro-batch, on its device."""

    advantages: Tensor
    row_ids: Tensor
    old: Tensor | None
    sampler: Tensor | None
    reference: Tensor | None


def fixed_terms(batch: Batch, micro: MicroBatch) -> tuple[FixedTerms, Tensor]:
    """The terms, and the weight of each token [M]."""
    rows, device = [batch.rows[row] for row in micro.rows], micro.targets.device
    lengths = torch.tensor(micro.lengths)
    if all(isinstance(row.weight, float | int) for row in rows):
        weights = torch.tensor([float(row.weight) for row in rows]).repeat_interleave(lengths).to(device)
    else:
        spread = [torch.as_tensor(row.weight, dtype=torch.float32).expand(len(row.tokens)) for row in rows]
        weights = flat_of(rows, spread, device)
    terms = FixedTerms(
        advantages=_advantages(rows, lengths).to(device),
        row_ids=torch.repeat_interleave(torch.arange(len(rows)), lengths).to(device),
        old=_flat(rows, [row.old_logprobs for row in rows], device, "old_logprobs"),
        sampler=_flat(rows, [row.sampler_logprobs for row in rows], device, "sampler_logprobs"),
        reference=_flat(rows, [row.reference_logprobs for row in rows], device, "reference_logprobs"),
    )
    return terms, weights


def with_logprobs(terms: FixedTerms, logprobs: Tensor, at: slice, row: int) -> LossTerms:
    """The terms of tokens ``at``, of which ``row`` is the first row."""
    return LossTerms(
        logprobs=logprobs,
        old_logprobs=logprobs.detach() if terms.old is None else terms.old[at],
        sampler_logprobs=None if terms.sampler is None else terms.sampler[at],
        reference_logprobs=None if terms.reference is None else terms.reference[at],
        advantages=terms.advantages[at],
        row_ids=terms.row_ids[at] - row,
    )


def _advantages(rows: Sequence[Row], lengths: Tensor) -> Tensor:
    """float32 [M]: a row's one advantage at each of its tokens, or each token's own."""
    if not any(isinstance(row.advantage, Tensor) for row in rows):
        return torch.tensor([row.advantage for row in rows]).repeat_interleave(lengths)
    spread = [torch.as_tensor(row.advantage, dtype=torch.float32).expand(len(row.tokens)) for row in rows]
    return flat_of(rows, spread, torch.device("cpu"))


def flat_of(rows: Sequence[Row], values: Sequence[Tensor], device: torch.device) -> Tensor:
    """[M] from a tensor [n] a row; a document's first entry, which nothing predicts, falls away."""
    found = _flat(rows, values, device)
    assert found is not None, "no row"
    return found


def _flat(
    rows: Sequence[Row], values: Sequence[Tensor | None], device: torch.device, name: str = "weight"
) -> Tensor | None:
    """[M] from a tensor a row; a document's first entry, which nothing predicts, falls away. None if all are None."""
    present = [
        value[1:] if row.prompt < 0 else value for row, value in zip(rows, values, strict=True) if value is not None
    ]
    if not present:
        return None
    assert len(present) == len(rows), f"some rows of the batch have {name}, some have none"
    return torch.cat(present).to(device)
