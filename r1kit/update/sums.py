"""Metrics of an update: sums over this rank's tokens, made equal on every rank at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.maths.loss_terms import TokenLoss
from r1kit.update.head import Slope, spans
from r1kit.update.learner import Batch
from r1kit.update.pack import MicroBatch
from r1kit.update.terms import fixed_terms, with_logprobs

__all__ = ["Sums", "slopes"]


class Sums:
    """Metrics of an update, summed over tokens."""

    def __init__(self) -> None:
        self.totals: dict[str, float | Tensor] = {"loss": 0.0, "entropy": 0.0, "tokens": 0.0, "rows_skipped": 0.0}
        """Numbers or, so that a GPU is not waited for, float64 scalars on the device."""
        self.largest: dict[str, Tensor] = {}

    def add(self, loss: Tensor, entropy: Tensor, logged: Mapping[str, Tensor]) -> None:
        self.totals["loss"] += loss.double()
        self.totals["entropy"] += entropy.sum().double()
        self.totals["tokens"] += len(entropy)
        for name, values in logged.items():
            self.totals[name] = self.totals.get(name, 0.0) + values.sum().double()
            if name == "ratio":
                largest = values.max()
                self.largest["ratio_max"] = torch.maximum(self.largest.get("ratio_max", largest), largest)

    def add_further(self, logprobs: Tensor) -> None:
        """Of tokens after the next."""
        for name, value in (("further_loss", -logprobs.sum().double()), ("further_tokens", float(len(logprobs)))):
            self.totals[name] = self.totals.get(name, 0.0) + value

    def reduced(self, ranks: Ranks) -> dict[str, float]:
        """Equal on every rank: ``loss`` is the weighted sum, the others are means over tokens, the counts aside."""
        totals: dict[str, float] = {}
        largest: dict[str, float] = {}
        mine = ({n: float(v) for n, v in self.totals.items()}, {n: float(v) for n, v in self.largest.items()})
        for theirs, maxima in ranks.gather_objects(mine):
            for name, value in theirs.items():
                totals[name] = totals.get(name, 0.0) + value
            for name, value in maxima.items():
                largest[name] = max(largest.get(name, value), value)
        tokens = max(1.0, totals["tokens"])
        counts = {name: totals.pop(name) for name in ("loss", "tokens", "rows_skipped")}
        return {**counts, **{name: value / tokens for name, value in totals.items()}, **largest}


def slopes(
    batch: Batch, micro: MicroBatch, loss: TokenLoss, sums: Sums, chunk: int
) -> Iterator[tuple[slice, Slope]]:  # fmt: skip
    """Whole rows of at most ``chunk`` tokens, and the loss's slope there, which adds to ``sums`` when it is called."""
    terms, weights = fixed_terms(batch, micro)

    def slope(at: slice, row: int, logprobs: Tensor, entropy: Tensor) -> Tensor:
        leaf = logprobs.requires_grad_()
        with torch.enable_grad():
            per_token, logged = loss(with_logprobs(terms, leaf, at, row))
            weighted = (per_token * weights[at]).sum()
        sums.add(weighted.detach(), entropy, logged)
        return torch.autograd.grad(weighted, leaf)[0]

    for first_row, _, first, last in spans(micro.lengths, chunk):
        at = slice(first, last)
        yield at, partial(slope, at, first_row)
