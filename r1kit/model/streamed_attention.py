"""Causal attention over packed segments whose memory grows with the tokens and not with their square.

Both ways use torch's fused kernels, which never store a probability: all segments in one call of variable lengths where
such a kernel runs (CUDA, half precision), one segment after the other elsewhere.

Axes: N packed tokens, H query heads, K key-value heads, D head size; T tokens of a segment, P of its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.segments import Segments

__all__ = ["Lengths", "has_variable_length_kernel", "plan_lengths", "streamed_attention", "variable_length_attention"]

QUERIES = 1024
"""Queries of a child at a time: bounds its mask, [queries, P + T], where a prompt or a completion is very long."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """What the variable-length kernel asks for; the queries are the packed tokens as they lie."""

    keys: Tensor | None
    """int64 [M]: the packed tokens that each segment sees, parent first; None where that is every token once."""
    query_offsets: Tensor
    """int32 [S + 1]"""
    key_offsets: Tensor
    """int32 [S + 1]"""
    most: tuple[int, int]
    """Queries and keys of the longest segment."""


def has_variable_length_kernel(x: Tensor, head_size: int) -> bool:
    """Flash attention: CUDA from compute capability 8 on, half precision, head sizes that are multiples of 8."""
    half = x.dtype in (torch.bfloat16, torch.float16)
    return x.is_cuda and half and head_size % 8 == 0 and head_size <= 256 and _capability(x.device) >= (8, 0)


def plan_lengths(segments: Segments) -> Lengths:
    """On the device of the tokens; the same for every layer."""
    device = segments.tokens.device
    keys = torch.cat([torch.arange(part.start, part.stop) for pair in _runs(segments) for part in pair])
    own = torch.tensor(segments.lengths)
    seen = torch.tensor([before.stop - before.start for before, _ in _runs(segments)]) + own
    return Lengths(
        keys=keys.to(device) if max(segments.parents) >= 0 else None,
        query_offsets=F.pad(own.cumsum(0), (1, 0)).int().to(device),
        key_offsets=F.pad(seen.cumsum(0), (1, 0)).int().to(device),
        most=(int(own.max()), int(seen.max())),
    )


def variable_length_attention(q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, window: int = 0) -> Tensor:
    """Rotated q [N, H, D] and k [N, K, D], v [N, K, D] -> [N, H, D]; ``window`` as for ``streamed_attention``.

    The kernel's causal mask is aligned to the last key, so that a child's first query sees its whole parent.
    """
    if lengths.keys is not None:
        k, v = k.index_select(0, lengths.keys), v.index_select(0, lengths.keys)
    near = {"window_size_left": window - 1, "window_size_right": 0} if window else {}
    out: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, lengths.query_offsets, lengths.key_offsets, *lengths.most, 0.0, True, False, **near
    )[0]
    return out


def streamed_attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, window: int = 0) -> Tensor:
    """As ``variable_length_attention``, on any device and in any dtype. Keeps q, k and v and nothing else.

    A query sees the ``window`` keys up to its own; 0: all of them.
    """
    out: Tensor = StreamedAttention.apply(q, k, v, tuple(_runs(segments)), window)  # type: ignore[no-untyped-call]
    return out


class StreamedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, runs: tuple[tuple[slice, slice], ...], window: int
    ) -> Tensor:
        ctx.runs, ctx.window = runs, window
        ctx.save_for_backward(q, k, v)
        out = q.new_empty(q.shape)
        for before, own in runs:
            out[own] = _attend(q[own], _joined(k, before, own), _joined(v, before, own), window)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # type: ignore[override]
        q, k, v = ctx.saved_tensors
        exact = torch.promote_types(k.dtype, torch.float32)  # a parent's gradient is the sum of many children's
        dq, dk, dv = q.new_empty(q.shape), k.new_zeros(k.shape, dtype=exact), v.new_zeros(v.shape, dtype=exact)
        for before, own in ctx.runs:
            leaves = [x.detach().requires_grad_() for x in (q[own], _joined(k, before, own), _joined(v, before, own))]
            with torch.enable_grad():
                out = _attend(leaves[0], leaves[1], leaves[2], ctx.window)
            dq[own], *others = torch.autograd.grad(out, leaves, grad[own])
            P = before.stop - before.start
            for total, part in zip((dk, dv), others, strict=True):
                total[before] += part[:P]
                total[own] += part[P:]
        return dq, dk.to(k.dtype), dv.to(v.dtype), None, None


def _attend(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """[T, H, D], [P + T, K, D] twice -> [T, H, D]. Fused kernels want four axes and a key head for every query head."""
    T, H, _ = q.shape
    P, group = len(k) - T, H // k.shape[1]
    queries = q.transpose(0, 1)[None]
    keys, values = (x.repeat_interleave(group, 1).transpose(0, 1)[None] for x in (k, v))
    if not P and not 0 < window < T:
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)[0].transpose(0, 1)
    pieces = []
    for at in range(0, T, QUERIES):
        end = min(at + QUERIES, T)
        first = max(0, P + at + 1 - window) if window else 0
        mask = torch.ones(end - at, P + end - first, dtype=torch.bool, device=q.device).tril_(P + at - first)
        if window:
            mask.triu_(P + at - first + 1 - window)
        seen = slice(first, P + end)
        pieces.append(
            F.scaled_dot_product_attention(queries[:, :, at:end], keys[:, :, seen], values[:, :, seen], attn_mask=mask)
        )
    return torch.cat(pieces, 2)[0].transpose(0, 1)


def _joined(x: Tensor, before: slice, own: slice) -> Tensor:
    return torch.cat([x[before], x[own]])


def _runs(segments: Segments) -> list[tuple[slice, slice]]:
    """Each segment's parent (nothing for a root) and itself, as packed tokens."""
    own = [slice(start, start + n) for start, n in zip(segments.starts, segments.lengths, strict=True)]
    return [
        (own[parent] if parent >= 0 else slice(0, 0), run) for parent, run in zip(segments.parents, own, strict=True)
    ]


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)
