"""Causal attention over packed segments, without a loop over segments and with each parent's keys computed once.

Segments are bucketed by parent length and own length, so that a bucket is one dense product with little padding and one
mask. All buckets share one gather into padded rows and one back. Forward and backward are written out here. What is
kept for the backward pass grows with the square of a length (``stored_per_token``): for short segments, on which it is
the fastest. ``streamed_attention.py`` is for the others.

Axes: N packed tokens, H query heads, K key-value heads, D head size; R padded (segment, head, token) rows of queries, L
of keys; in a bucket B segments of padded length T, whose parents have exactly P tokens.
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
    queries: slice
    """Its rows among R."""
    keys: slice
    """Its rows among L."""
    mask: Tensor
    """[T, P + T]: 0, or -inf where a query may not look."""
    parents: Tensor | None
    """[g, B]: 1 where a segment has that parent; sums the gradients of siblings. None for roots."""
    parent_tokens: Tensor | None
    """int64 [g P]: the packed tokens of those parents."""

    def views(self, H: int, D: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> tuple[Tensor, ...]:
        """Of rows [R, D], [L, D], [L, D], [R, D]: [B H, T or P + T, D]."""
        B, T, P = self.shape
        return (
            q[self.queries].view(B * H, T, D),
            k[self.keys].view(B * H, P + T, D),
            v[self.keys].view(B * H, P + T, D),
            out[self.queries].view(B * H, T, D),
        )

    def add_parents_(self, total: Tensor, grad: Tensor, H: int, D: int) -> None:
        """Add to [N, K, D] what the children's rows [L, D] hold for their parents' keys or values."""
        assert self.parents is not None
        assert self.parent_tokens is not None
        (B, T, P), K = self.shape, total.shape[1]
        seen = grad[self.keys].view(B, H, P + T, D)[:, :, :P].reshape(B, -1)
        summed = (self.parents @ seen).view(-1, K, H // K, P, D).sum(2)
        total.index_add_(0, self.parent_tokens, summed.transpose(1, 2).reshape(-1, K, D))


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """Where every row goes; depends on the segments and the head counts, not on the layer."""

    heads: tuple[int, int, int]
    """H, K, D"""
    buckets: tuple[Bucket, ...]
    gather: Tensor
    """int64 [R + 2 L], rows of qkv seen as [N (H + 2 K), D]: the queries, then the keys, then the values."""
    sizes: tuple[int, int, int]
    """R, L, L"""
    query_gather: Tensor
    """int64 [R], rows of [N H, D]."""
    query_rows: Tensor
    """int64 [N H]: the padded row of each token's query."""
    key_rows: Tensor
    """int64 [N H]: the padded row of each token's own key, as query head h sees it."""
    real: Tensor | None
    """[R, 1]: 0 at padding; None without any."""
    positions: int
    """The longest run with its parent, padding included."""


def stored_per_token(segments: Segments, heads: tuple[int, int, int]) -> float:
    """Numbers that ``packed_attention`` keeps for the backward pass, per packed token and query head, padding aside.

    Probabilities, and keys and values once for every segment that sees them: grows with the square of a length.
    """
    own, D = np.array(segments.lengths), heads[2]
    keys = own + _seen(segments)
    return float((own * keys + 2 * D * keys + D * own).sum() / own.sum())


def plan_attention(
    segments: Segments, heads: tuple[int, int, int], dtype: torch.dtype, window: int = 0
) -> AttentionPlan:
    """For heads (H, K, D) and computation in ``dtype``; a query sees ``window`` keys up to its own, 0: all."""
    H = heads[0]
    starts, lengths, parents = np.array(segments.starts), np.array(segments.lengths), np.array(segments.parents)
    seen, total, device = _seen(segments), int(lengths.sum()), segments.tokens.device
    query_rows, key_rows = np.empty((total, H), np.int64), np.empty((total, H), np.int64)
    sources: list[tuple[np.ndarray, ...]] = []
    real, buckets, r, m = [], [], 0, 0
    for members in _buckets(seen, lengths):
        B, T, P = shape = len(members), _round_up(int(lengths[members].max())), int(seen[members[0]])
        step = np.arange(T)
        inside = step < lengths[members, None]
        tokens = starts[members, None] + np.minimum(step, lengths[members, None] - 1)  # [B, T]
        sources.append(_sources(tokens, starts[parents[members]] if P else None, P, heads))
        line = np.arange(B)[:, None, None] * H + np.arange(H)  # [B, 1, H]
        query_rows[tokens[inside]] = (r + line * T + step[:, None])[inside]
        key_rows[tokens[inside]] = (m + line * (P + T) + P + step[:, None])[inside]
        real.append(np.broadcast_to(inside[:, None], (B, H, T)).ravel())
        queries, keys = slice(r, r + B * H * T), slice(m, m + B * H * (P + T))
        mask = torch.full((T, P + T), float("-inf")).triu_(P + 1)
        if 0 < window < P + T:
            mask.add_(torch.full((T, P + T), float("-inf")).tril_(P - window))
        mask = mask.to(device, dtype)
        family = _family(parents[members], starts, P, device, dtype) if P else (None, None)
        buckets.append(Bucket(shape, queries, keys, mask, *family))
        r, m = queries.stop, keys.stop
    flags = np.concatenate(real)
    q, k, v, given = (np.concatenate(source) for source in zip(*sources, strict=True))
    return AttentionPlan(
        heads,
        tuple(buckets),
        torch.from_numpy(np.concatenate([q, k, v])).to(device),
        (r, m, m),
        torch.from_numpy(given).to(device),
        torch.from_numpy(query_rows.ravel()).to(device),
        torch.from_numpy(key_rows.ravel()).to(device),
        None if flags.all() else torch.from_numpy(flags[:, None]).to(device, dtype),
        max(bucket.shape[1] + bucket.shape[2] for bucket in buckets),
    )


def _seen(segments: Segments) -> np.ndarray:
    """[S]: tokens of each segment's parent, 0 for a root."""
    lengths, parents = np.array(segments.lengths), np.array(segments.parents)
    return np.where(parents >= 0, lengths[parents], 0)


def _sources(
    tokens: np.ndarray, parent_starts: np.ndarray | None, P: int, heads: tuple[int, int, int]
) -> tuple[np.ndarray, ...]:
    """Where a bucket's padded rows come from, for tokens [B, T]: rows of qkv for queries, keys and values; of [N H, D]
    for queries."""
    H, K, _ = heads
    head, width = np.arange(H)[None, :, None], H + 2 * K
    keys = tokens
    if parent_starts is not None:
        keys = np.concatenate([parent_starts[:, None] + np.arange(P), tokens], 1)
    return (
        (tokens[:, None] * width + head).ravel(),
        (keys[:, None] * width + H + head * K // H).ravel(),
        (keys[:, None] * width + H + K + head * K // H).ravel(),
        (tokens[:, None] * H + head).ravel(),
    )


def _family(
    parents: np.ndarray, starts: np.ndarray, P: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """``Bucket.parents`` and ``Bucket.parent_tokens`` for the parent [B] of each segment."""
    distinct = np.unique(parents)
    siblings = torch.from_numpy(distinct[:, None] == parents).to(device, dtype)
    return siblings, torch.from_numpy((starts[distinct, None] + np.arange(P)).ravel()).to(device)


def packed_attention(qkv: Tensor, tables: tuple[Tensor, Tensor] | None, plan: AttentionPlan) -> Tensor:
    """Rotate queries and keys, attend: qkv [N, (H + 2 K) D] -> [N, H D].

    cos and sin are [positions, D], at least as many as the longest run with its parent: the two halves of D are rotated
    against each other (hub convention). None: they are rotated already, or never.
    """
    out: Tensor = PackedAttention.apply(qkv, tables, plan)  # type: ignore[no-untyped-call]
    return out


class PackedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, tables: tuple[Tensor, Tensor] | None, plan: AttentionPlan) -> Tensor:
        H, _, D = plan.heads
        rows = qkv.reshape(-1, D).index_select(0, plan.gather)
        if tables is not None:
            turning = rows[: plan.sizes[0] + plan.sizes[1]]
            _rotate_(turning, turning @ _quarter_turn(rows), plan, tables)
        q, k, v = rows.split(plan.sizes)
        out, weights = torch.empty_like(q), []
        for bucket in plan.buckets:
            own, keys, values, result = bucket.views(H, D, q, k, v, out)
            scores = torch.baddbmm(bucket.mask, own, keys.mT, alpha=D**-0.5)
            torch.softmax(scores, -1, out=scores)
            torch.bmm(scores, values, out=result)
            weights.append(scores)
        ctx.plan, ctx.tables = plan, tables
        ctx.save_for_backward(rows, *weights)
        return out.index_select(0, plan.query_rows).view(-1, H * D)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        plan: AttentionPlan = ctx.plan
        H, K, D = plan.heads
        rows, *weights = ctx.saved_tensors
        q, k, v = rows.split(plan.sizes)
        drows = torch.empty_like(rows)
        dq, dk, dv = drows.split(plan.sizes)
        dout = grad.reshape(-1, D).index_select(0, plan.query_gather)
        if plan.real is not None:
            dout.mul_(plan.real)
        for bucket, p in zip(plan.buckets, weights, strict=True):
            own, keys, values, given = bucket.views(H, D, q, k, v, dout)
            own_grad, key_grad, value_grad, _ = bucket.views(H, D, dq, dk, dv, dout)
            torch.bmm(p.mT, given, out=value_grad)
            ds = torch.bmm(given, values.mT)
            torch.ops.aten._softmax_backward_data.out(ds, p, -1, p.dtype, grad_input=ds)
            torch.baddbmm(own_grad, ds, keys, beta=0, alpha=D**-0.5, out=own_grad)
            torch.baddbmm(key_grad, ds.mT, own, beta=0, alpha=D**-0.5, out=key_grad)
        if ctx.tables is not None:
            _rotate_back_(drows[: plan.sizes[0] + plan.sizes[1]], plan, ctx.tables)
        packed = torch.empty(len(grad), H + 2 * K, D, dtype=grad.dtype, device=grad.device)
        packed[:, :H] = dq.index_select(0, plan.query_rows).view(-1, H, D)
        for first, wide in ((H, dk), (H + K, dv)):
            narrow = packed[:, first : first + K]
            torch.sum(wide.index_select(0, plan.key_rows).view(-1, K, H // K, D), 2, out=narrow)
            for bucket in plan.buckets:
                if bucket.parents is not None:
                    bucket.add_parents_(narrow, wide, H, D)
        return packed.view(len(grad), -1), None, None


def _rotate_(x: Tensor, turned: Tensor, plan: AttentionPlan, tables: tuple[Tensor, Tensor]) -> None:
    """x = x cos + turned sin, in place, for the padded rows [R + L, D] of queries and keys."""
    (H, _, D), (cos, sin) = plan.heads, tables
    for bucket in plan.buckets:
        B, T, P = bucket.shape
        for rows, first in ((bucket.queries, P), (_after(bucket.keys, plan.sizes[0]), 0)):
            own = x[rows].view(B * H, -1, D)
            own.mul_(cos[first : P + T]).addcmul_(turned[rows].view(B * H, -1, D), sin[first : P + T])


def _rotate_back_(x: Tensor, plan: AttentionPlan, tables: tuple[Tensor, Tensor]) -> Tensor:
    """The gradient of ``_rotate_``, [R + L, D], overwriting x."""
    (H, _, D), (cos, sin) = plan.heads, tables
    turned = torch.empty_like(x)
    for bucket in plan.buckets:
        B, T, P = bucket.shape
        for rows, first in ((bucket.queries, P), (_after(bucket.keys, plan.sizes[0]), 0)):
            own = x[rows].view(B * H, -1, D)
            torch.mul(own, sin[first : P + T], out=turned[rows].view(B * H, -1, D))
            own.mul_(cos[first : P + T])
    return x.addmm_(turned, _quarter_turn(x).t())


def _after(rows: slice, offset: int) -> slice:
    return slice(rows.start + offset, rows.stop + offset)


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
