"""Token runs packed back to back, where a run may continue another: what the decoder computes over without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from r1kit.model.routes import Routes

__all__ = ["Segments", "Spread"]


class Spread(Protocol):
    """Ranks that each have a slice of the tokens, and in attention a part of the heads; every call is a collective."""

    @property
    def size(self) -> int:
        """P ranks."""
        ...

    def slice_of(self, count: int) -> slice:
        """This rank's of N tokens."""
        ...

    def to_heads(self, qkv: Tensor, heads: tuple[int, int, int]) -> Tensor:
        """[N / P, (H + 2 K) D] of heads (H, K, D) -> [N, (H + 2 K) D / P]."""
        ...

    def to_tokens(self, out: Tensor) -> Tensor:
        """[N, H D / P] -> [N / P, H D]"""
        ...


@dataclass(frozen=True, slots=True)
class Segments:
    """N tokens in S segments. A segment attends to itself causally and, before that, to the whole of its parent.

    A group is one prompt segment and one child a completion, so the prompt is computed once; a document is a
    segment without a parent. The tree is one level deep: a parent has no parent.
    """

    tokens: Tensor
    """int64 [N]"""
    lengths: tuple[int, ...]
    """[S], each at least 1, summing to N"""
    parents: tuple[int, ...]
    """[S], index of an earlier root segment, or -1"""
    spread: Spread | None = None
    """Where ranks share the tokens: hidden states are then those of this rank's slice alone."""
    fill: int = 0
    """Tokens at the end that are there only so that ranks can share all alike."""
    routes: Routes | None = None
    """Told of every choice of experts, where a model has them."""
    replay: Tensor | None = None
    """int64 [N, layers with experts, k]: what the tokens are to choose; None: what they score highest."""

    @classmethod
    def pack(cls, runs: Sequence[Tensor], parents: Sequence[int] | None = None) -> Segments:
        """From token runs (int64 [n] each) and the parent of each (-1: a root)."""
        return cls(
            tokens=torch.cat(list(runs)),
            lengths=tuple(len(run) for run in runs),
            parents=tuple(parents) if parents is not None else (-1,) * len(runs),
        )

    def counted(self, rows: Tensor) -> Tensor:
        """Of one row a token of this rank those that are no fill."""
        if self.spread is None:
            return rows
        count = len(self.tokens)
        return rows[: max(0, count - self.fill - self.spread.slice_of(count).start)]

    @property
    def starts(self) -> list[int]:
        """[S], offset of each segment's first token."""
        starts, total = [], 0
        for length in self.lengths:
            starts.append(total)
            total += length
        return starts

    def positions(self) -> Tensor:
        """int64 [N]: a child's tokens continue its parent's positions."""
        runs = []
        for length, parent in zip(self.lengths, self.parents, strict=True):
            offset = self.lengths[parent] if parent >= 0 else 0
            runs.append(torch.arange(offset, offset + length))
        return torch.cat(runs).to(self.tokens.device)
