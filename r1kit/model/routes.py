"""What an update watches of the experts, and adds to its loss: each expert's load, and the sequence-wise balance loss.

Axes: N packed tokens in S segments, E experts, k of them a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Routes"]


@dataclass(slots=True)
class Routes:
    """Of the forward passes of one update; see ``Segments.routes``."""

    weight: float = 0.0
    """Of a sequence's balance loss; 0: none."""
    counts: dict[int, Tensor] = field(default_factory=dict)
    """Layer -> int64 [E], how many tokens chose each expert; twice that where a forward pass is done again."""
    chosen: dict[int, Tensor] | None = None
    """Layer -> int64 [N, k], what the tokens of the last pass chose; None: it is not kept."""
    loss: Tensor | float = 0.0
    """Balance loss so far, with its weight, over layers and sequences; of the backward passes, since a forward pass may
    be done again for one."""

    def count(self, layer: int, experts: Tensor, number: int) -> None:
        """Chosen experts [N, k] of ``number``."""
        if self.chosen is not None:
            self.chosen[layer] = experts
            return
        counts = torch.bincount(experts.flatten(), minlength=number)
        self.counts[layer] = counts if layer not in self.counts else self.counts[layer] + counts

    def balanced(self, gates: Tensor, scores: Tensor, chosen: int, runs: Runs) -> Tensor:
        """The gates as they are; backward adds the balance loss's gradient to that of the scores [N, E]."""
        if not self.weight:
            return gates
        loss = self.weight * sequence_balance(scores, chosen, runs)
        attached: Tensor = _Attached.apply(gates, loss, self)  # type: ignore[no-untyped-call]
        return attached


Runs = tuple[tuple[int, ...], tuple[int, ...]]
"""Lengths and parents of segments, [S] each."""


def sequence_balance(scores: Tensor, chosen: int, runs: Runs) -> Tensor:
    """Sum over sequences of ``sum_i f_i P_i`` (DeepSeek-V3, 2412.19437, equations 17 to 20, without alpha).

    f_i: how often expert i is among the ``chosen`` best of a token, times E / k, a mean over the sequence's tokens;
    P_i: mean of its score's share. A sequence is a segment after its parent; a parent is none by itself. 1 each where
    all are alike.

    Args:
        scores: [N, E], before the bias.
    """
    lengths, parents = (torch.tensor(one, device=scores.device) for one in runs)
    best = torch.zeros_like(scores).scatter_(1, scores.detach().topk(chosen, -1).indices, scores.shape[1] / chosen)
    which = torch.arange(len(lengths), device=scores.device).repeat_interleave(lengths)
    summed = [
        torch.zeros(len(lengths), scores.shape[1], device=scores.device, dtype=scores.dtype).index_add(0, which, one)
        for one in (best, scores / scores.sum(-1, keepdim=True))
    ]
    child = (parents >= 0)[:, None]
    often, shares = (one + torch.where(child, one[parents], 0.0) for one in summed)
    tokens = lengths + torch.where(parents >= 0, lengths[parents], 0)
    whole = torch.ones(len(lengths), dtype=torch.bool, device=scores.device)
    whole[parents[parents >= 0]] = False
    return ((often * shares).sum(-1) / tokens.square())[whole].sum()


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor, routes: Routes) -> Tensor:
        ctx.routes, ctx.loss = routes, loss.detach()
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        ctx.routes.loss = ctx.routes.loss + ctx.loss
        return grad, grad.new_ones(()), None
