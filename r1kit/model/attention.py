"""Causal attention over packed segments, without a loop over segments and with each parent's keys computed once.

Segments are bucketed by parent length and own length, so that a bucket is a few dense products with little padding and
one mask; it is gathered, rotated and attended while its rows are in the cache. Forward and backward are written out
here. What is kept for the backward pass grows with the square of a length (``stored_per_token``): for short segments,
on which it is the fastest. ``streamed_attention.py`` is for the others.

Axes: N packed tokens, H query heads, K key-value heads, G = H / K, D head size; R padded rows [D] of queries, L of
queries, keys and values; in a bucket B segments of padded length T, whose parents have exactly P tokens. Query heads
that share keys are further queries of one head, so that no key is there twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from r1kit.model.segments import Segments

__all__ = ["AttentionPlan", "packed_attention", "plan_attention", "stored_per_token"]

WASTE = 1.25
"""A bucket takes segments while the longest is at most this many times as long as the shortest."""

ALIGN = 16


@dataclass(frozen=True, slots=True)
class Bucket:
    shape: tuple[int, int, int]
    """B, T, P"""
    rows: slice
    """Its rows among L: of queries, then keys, then values."""
    queries: slice
    """Its rows among R."""
    mask: Tensor
    """[G T, P + T]: 0, or -inf where a query may not look."""
    parents: Tensor | None
    """[g, B]: 1 where a segment has that parent; sums the gradients of siblings. None for roots."""
    parent_starts: tuple[int, ...]
    """[g]: the first packed token of those parents."""

    def views(self, rows: Tensor, heads: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Of rows [L, D]: queries [B K, G T, D], keys and values [B K, P + T, D]."""
        (H, K, D), (B, T, P) = heads, self.shape
        q, k, v = rows[self.rows].split((B * H * T, B * K * (P + T), B * K * (P + T)))
        return q.view(B * K, -1, D), k.view(B * K, P + T, D), v.view(B * K, P + T, D)

    def rotate_(self, q: Tensor, k: Tensor, tables: tuple[Tensor, Tensor], turn: Tensor) -> None:
        """By the tables of all positions, in place; back with the transposed ``turn``."""
        _, T, P = self.shape
        cos, sin = tables
        for x, first in ((q, P), (k, 0)):
            turned, size = x @ turn, (-1, P + T - first, x.shape[2])
            x.view(size).mul_(cos[first : P + T]).addcmul_(turned.view(size), sin[first : P + T])

    def add_parents_(self, packed: Tensor, rows: Tensor, heads: tuple[int, int, int]) -> None:
        """Add to gradients [N, H + 2 K, D] what the children's rows [L, D] hold for keys and values of parents."""
        if self.parents is None:
            return
        (H, K, D), (B, T, P) = heads, self.shape
        both = rows[self.rows][B * H * T :].view(2, B, -1)
        summed = (self.parents @ both).view(2, -1, K, P + T, D)[:, :, :, :P].permute(1, 3, 0, 2, 4).flatten(2, 3)
        for start, one in zip(self.parent_starts, summed, strict=True):
            packed[start : start + P, H:] += one


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """Where every row goes; depends on the segments and the head counts, not on the layer."""

    heads: tuple[int, int, int]
    """H, K, D"""
    dtype: torch.dtype
    """Of the computation."""
    buckets: tuple[Bucket, ...]
    gather: Tensor
    """int64 [L], rows of qkv seen as [N (H + 2 K), D]."""
    back: Tensor
    """int64 [N (H + 2 K)]: the padded row among L of each token's own queries, keys and values."""
    query_gather: Tensor
    """int64 [R], rows of [N H, D]."""
    query_back: Tensor
    """int64 [N H]: the padded row among R of each token's queries."""
    padding: Tensor
    """int64: the rows among R that are no token's."""
    positions: int
    """The longest run with its parent, padding included."""


def stored_per_token(segments: Segments, heads: tuple[int, int, int]) -> float:
    """Numbers that ``packed_attention`` keeps for the backward pass, per packed token and query head, padding aside.

    Probabilities, queries, and keys and values once for every segment that sees them: it grows with the square of a
    length.
    """
    own, (H, K, D) = np.array(segments.lengths), heads
    keys = own + _seen(segments)
    return float((own * keys + 2 * D * K / H * keys + D * own).sum() / own.sum())


def plan_attention(
    segments: Segments, heads: tuple[int, int, int], dtype: torch.dtype, window: int = 0
) -> AttentionPlan:
    """For heads (H, K, D) and numbers in ``dtype``; a query sees ``window`` keys up to its own, 0: all.

    A CPU computes halves as fp32, which is faster for matrices as small as these, by far without instructions for them.
    """
    H, K, _ = heads
    starts, lengths, parents = np.array(segments.starts), np.array(segments.lengths), np.array(segments.parents)
    seen, total, device = _seen(segments), int(lengths.sum()), segments.tokens.device
    if device.type == "cpu":
        dtype = torch.promote_types(dtype, torch.float32)
    back, query_back = np.empty((total, H + 2 * K), np.int64), np.empty((total, H), np.int64)
    gather, query_gather, padding, buckets, r, m = [], [], [], [], 0, 0
    for members in _buckets(seen, lengths):
        B, T, P = len(members), _round_up(int(lengths[members].max())), int(seen[members[0]])
        step, line = np.arange(T), np.arange(B)[:, None, None]
        inside = step < lengths[members, None]
        tokens = keys = starts[members, None] + np.minimum(step, lengths[members, None] - 1)  # [B, T]
        if P:
            keys = np.concatenate([starts[parents[members], None] + np.arange(P), tokens], 1)
        gather += [(tokens[:, None] * (H + 2 * K) + np.arange(H)[:, None]).ravel(), *_key_sources(keys, heads)]
        query_gather.append((tokens[:, None] * H + np.arange(H)[:, None]).ravel())
        own = (line * H + np.arange(H)) * T + step[:, None]  # [B, T, H], the row of each query in the bucket
        key = B * H * T + (line * K + np.arange(K)) * (P + T) + P + step[:, None]
        spots = np.concatenate([own, key, key + B * K * (P + T)], 2)
        back[tokens[inside]], query_back[tokens[inside]] = m + spots[inside], r + own[inside]
        padding.append(r + own[~inside].ravel())
        rows, queries = slice(m, m + len(gather[-1]) * 2 + B * H * T), slice(r, r + B * H * T)
        mask = torch.full((T, P + T), float("-inf")).triu_(P + 1)
        if 0 < window < P + T:
            mask.add_(torch.full((T, P + T), float("-inf")).tril_(P - window))
        family, distinct = None, np.unique(parents[members]) if P else np.empty(0, np.int64)
        if P:
            family = torch.from_numpy(distinct[:, None] == parents[members]).to(device, dtype)
        mask = mask.repeat(H // K, 1).to(device, dtype)
        buckets.append(Bucket((B, T, P), rows, queries, mask, family, tuple(starts[distinct].tolist())))
        r, m = queries.stop, rows.stop
    return AttentionPlan(
        heads=heads,
        dtype=dtype,
        buckets=tuple(buckets),
        gather=torch.from_numpy(np.concatenate(gather)).to(device),
        back=torch.from_numpy(back.ravel()).to(device),
        query_gather=torch.from_numpy(np.concatenate(query_gather)).to(device),
        query_back=torch.from_numpy(query_back.ravel()).to(device),
        padding=torch.from_numpy(np.concatenate(padding)).to(device),
        positions=max(bucket.shape[1] + bucket.shape[2] for bucket in buckets),
    )


def _seen(segments: Segments) -> np.ndarray:
    """[S]: tokens of each segment's parent, 0 for a root."""
    lengths, parents = np.array(segments.lengths), np.array(segments.parents)
    return np.where(parents >= 0, lengths[parents], 0)


def _key_sources(tokens: np.ndarray, heads: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of qkv, one after the other, of the keys and of the values of tokens [B, P + T]."""
    H, K, _ = heads
    keys = (tokens[:, None] * (H + 2 * K) + H + np.arange(K)[:, None]).ravel()
    return keys, keys + K


def packed_attention(qkv: Tensor, tables: tuple[Tensor, Tensor] | None, plan: AttentionPlan) -> Tensor:
    """Rotate queries and keys, attend: qkv [N, (H + 2 K) D] -> [N, H D].

    cos and sin are [positions, D] in the plan's dtype, at least as many as the longest run with its parent, and the
    same for both halves of D, which are rotated against each other (hub convention). None: rotated already, or never.
    """
    out: Tensor = PackedAttention.apply(qkv, tables, plan)  # type: ignore[no-untyped-call]
    return out


class PackedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, tables: tuple[Tensor, Tensor] | None, plan: AttentionPlan) -> Tensor:
        H, _, D = plan.heads
        x, weights = qkv.reshape(-1, D).to(plan.dtype), []
        rows, out = x.new_empty(len(plan.gather), D), x.new_empty(len(plan.query_gather), D)
        turn = _quarter_turn(x)
        for bucket in plan.buckets:
            torch.index_select(x, 0, plan.gather[bucket.rows], out=rows[bucket.rows])
            q, k, v = bucket.views(rows, plan.heads)
            if tables is not None:
                bucket.rotate_(q, k, tables, turn)
            scores = torch.baddbmm(bucket.mask, q, k.mT, alpha=D**-0.5)
            torch.softmax(scores, -1, out=scores)
            torch.bmm(scores, v, out=out[bucket.queries].view(q.shape))
            weights.append(scores)
        ctx.plan, ctx.tables, ctx.dtype = plan, tables, qkv.dtype
        ctx.save_for_backward(rows, *weights)
        return out.index_select(0, plan.query_back).view(-1, H * D).to(qkv.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        plan: AttentionPlan = ctx.plan
        H, K, D = plan.heads
        rows, *weights = ctx.saved_tensors
        drows, turn = torch.empty_like(rows), _quarter_turn(rows).t()
        dout = grad.reshape(-1, D).to(plan.dtype).index_select(0, plan.query_gather).index_fill_(0, plan.padding, 0)
        for bucket, p in zip(plan.buckets, weights, strict=True):
            q, k, v = bucket.views(rows, plan.heads)
            dq, dk, dv = bucket.views(drows, plan.heads)
            given = dout[bucket.queries].view(q.shape)
            torch.bmm(p.mT, given, out=dv)
            ds = torch.bmm(given, v.mT)
            torch.ops.aten._softmax_backward_data.out(ds, p, -1, p.dtype, grad_input=ds)
            torch.baddbmm(dq, ds, k, beta=0, alpha=D**-0.5, out=dq)
            torch.baddbmm(dk, ds.mT, q, beta=0, alpha=D**-0.5, out=dk)
            if ctx.tables is not None:
                bucket.rotate_(dq, dk, ctx.tables, turn)
        packed = drows.index_select(0, plan.back).view(-1, H + 2 * K, D)
        for bucket in plan.buckets:
            bucket.add_parents_(packed, drows, plan.heads)
        return packed.view(len(grad), -1).to(ctx.dtype), None, None


def _quarter_turn(like: Tensor) -> Tensor:
    """[D, D] of 0 and 1: ``x @ it`` is (-second half, first half). A product is faster than copies of half rows."""
    half = like.shape[1] // 2
    turn = torch.zeros(2 * half, 2 * half, dtype=like.dtype, device=like.device)
    index = torch.arange(half, device=like.device)
    turn[index + half, index] = -1
    turn[index, index + half] = 1
    return turn


def _round_up(length: int) -> int:
    """Whole vectors in every row of a product are worth a little more padding."""
    return -(-length // ALIGN) * ALIGN if length > ALIGN else length


def _buckets(seen: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Segment indices by parent length, then cut where the length has grown by more than ``WASTE``."""
    order = sorted(range(len(lengths)), key=lambda s: (seen[s], lengths[s], s))
    buckets: list[list[int]] = []
    for s in order:
        first = buckets[-1][0] if buckets else None
        if first is None or seen[first] != seen[s] or lengths[s] > WASTE * lengths[first]:
            buckets.append([])
        buckets[-1].append(s)
    return [np.array(bucket) for bucket in buckets]
