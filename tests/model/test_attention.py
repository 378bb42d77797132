"""Packed attention against a plain loop over segments with a mask and autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.attention import packed_attention, plan_attention
from r1kit.model.decoder import DecoderConfig, apply_rope, rope_tables
from r1kit.model.segments import Segments

D = 8


def plain(qkv: Tensor, config: DecoderConfig, segments: Segments) -> Tensor:
    H, K = config.num_heads, config.num_kv_heads
    q, k, v = qkv.view(-1, H + 2 * K, D).split([H, K, K], dim=1)
    tables = rope_tables(config, segments.positions(), qkv.dtype)
    q, k = apply_rope(q, *tables), apply_rope(k, *tables)
    outputs = []
    for start, length, parent in zip(segments.starts, segments.lengths, segments.parents, strict=True):
        own, seen = slice(start, start + length), 0
        keys, values = k[own], v[own]
        if parent >= 0:
            seen = segments.lengths[parent]
            before = slice(segments.starts[parent], segments.starts[parent] + seen)
            keys, values = torch.cat([k[before], keys]), torch.cat([v[before], values])
        mask = torch.ones(length, seen + length, dtype=torch.bool).tril(seen)
        y = F.scaled_dot_product_attention(
            q[own].transpose(0, 1), keys.transpose(0, 1), values.transpose(0, 1), attn_mask=mask, enable_gqa=H != K
        )
        outputs.append(y.transpose(0, 1).reshape(length, H * D))
    return torch.cat(outputs)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize(
    ("lengths", "parents"),
    [
        ((1,), (-1,)),
        ((5, 9, 40, 2, 3, 41), (-1,) * 6),
        ((7, 3, 4, 30, 7, 1, 12), (-1, 0, 0, 0, -1, 4, 4)),  # two prompts of one length, children of all lengths
        ((2, 5, 17, 3, 17, 6), (-1, 0, 0, -1, 3, -1)),  # two lengths of prompt, and a document
    ],
)
def test_equals_a_loop_over_segments_forward_and_backward(
    heads: tuple[int, int], lengths: tuple[int, ...], parents: tuple[int, ...]
) -> None:
    H, K = heads
    config = DecoderConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_layers=1, num_heads=H, num_kv_heads=K, head_dim=D
    )
    g = torch.Generator().manual_seed(0)
    segments = Segments(torch.zeros(sum(lengths), dtype=torch.int64), lengths, parents)
    qkv = torch.randn(sum(lengths), (H + 2 * K) * D, generator=g, dtype=torch.float64).requires_grad_()
    weight = torch.randn(sum(lengths), H * D, generator=g, dtype=torch.float64)
    expected = plain(qkv, config, segments)
    (expected_grad,) = torch.autograd.grad((expected * weight).sum(), qkv)
    plan = plan_attention(segments, (H, K, D), torch.float64)
    cos, sin = rope_tables(config, torch.arange(plan.positions), torch.float64)
    found = packed_attention(qkv, cos[:, 0], sin[:, 0], plan)
    (grad,) = torch.autograd.grad((found * weight).sum(), qkv)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(grad, expected_grad)
