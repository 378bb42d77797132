"""Both ways of attention against a plain loop over segments with a mask and autograd; what they keep in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model import decoder as decoding
from r1kit.model import streamed_attention as streaming
from r1kit.model.attention import packed_attention, plan_attention, stored_per_token
from r1kit.model.decoder import Decoder, DecoderConfig, apply_rope, rope_tables
from r1kit.model.segments import Segments
from r1kit.model.streamed_attention import streamed_attention

D = 8
Way = Callable[[Tensor, DecoderConfig, Segments], Tensor]


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


GROUPS = (
    ((1,), (-1,)),
    ((5, 9, 40, 2, 3, 41), (-1,) * 6),
    ((7, 3, 4, 30, 7, 1, 12), (-1, 0, 0, 0, -1, 4, 4)),  # two prompts of one length, children of all lengths
    ((2, 5, 17, 3, 17, 6), (-1, 0, 0, -1, 3, -1)),  # two lengths of prompt, and a document
)
LONG = (
    ((600, 5, 1500, 17, 1), (-1,) * 5),
    ((700, 900, 3, 20, 610, 4), (-1, 0, 0, -1, 3, -1)),  # long and short children of a long prompt, and of a short one
)


def by_rows(qkv: Tensor, config: DecoderConfig, segments: Segments) -> Tensor:
    plan = plan_attention(segments, (config.num_heads, config.num_kv_heads, D), qkv.dtype)
    cos, sin = rope_tables(config, torch.arange(plan.positions), plan.dtype)
    return packed_attention(qkv, (cos[:, 0], sin[:, 0]), plan)


def streamed(qkv: Tensor, config: DecoderConfig, segments: Segments) -> Tensor:
    H, K = config.num_heads, config.num_kv_heads
    q, k, v = qkv.view(-1, H + 2 * K, D).split([H, K, K], dim=1)
    tables = rope_tables(config, segments.positions(), qkv.dtype)
    return streamed_attention(apply_rope(q, *tables), apply_rope(k, *tables), v, segments).view(len(qkv), -1)


def shape(H: int, K: int) -> DecoderConfig:
    return DecoderConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_layers=1, num_heads=H, num_kv_heads=K, head_dim=D
    )


def packed(lengths: tuple[int, ...], parents: tuple[int, ...]) -> Segments:
    return Segments(torch.zeros(sum(lengths), dtype=torch.int64), lengths, parents)


@pytest.mark.parametrize("way", [by_rows, streamed])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize(("lengths", "parents"), GROUPS)
def test_equals_a_loop_over_segments_forward_and_backward(
    way: Way, heads: tuple[int, int], lengths: tuple[int, ...], parents: tuple[int, ...]
) -> None:
    agrees(way, heads, packed(lengths, parents))


@pytest.mark.parametrize("way", [by_rows, streamed])
@pytest.mark.parametrize(("lengths", "parents"), LONG)
def test_long_segments_equal_the_loop_too(way: Way, lengths: tuple[int, ...], parents: tuple[int, ...]) -> None:
    agrees(way, (2, 1), packed(lengths, parents))


@pytest.mark.parametrize(("lengths", "parents"), GROUPS)
def test_the_mask_of_a_child_comes_in_pieces(
    lengths: tuple[int, ...], parents: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "QUERIES", 4)
    agrees(streamed, (4, 2), packed(lengths, parents))


def agrees(way: Way, heads: tuple[int, int], segments: Segments) -> None:
    H, K = heads
    config, N = shape(H, K), len(segments.tokens)
    g = torch.Generator().manual_seed(0)
    qkv = torch.randn(N, (H + 2 * K) * D, generator=g, dtype=torch.float64).requires_grad_()
    weight = torch.randn(N, H * D, generator=g, dtype=torch.float64)
    expected = plain(qkv, config, segments)
    (expected_grad,) = torch.autograd.grad((expected * weight).sum(), qkv)
    found = way(qkv, config, segments)
    (grad,) = torch.autograd.grad((found * weight).sum(), qkv)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("way", [by_rows, streamed])
def test_in_bfloat16_the_children_of_a_prompt_are_summed_in_fp32(way: Way) -> None:
    """200 children with one gradient each: a sum kept in bf16 would stop growing."""
    segments = packed((9,) + (2,) * 200, (-1,) + (0,) * 200)
    g = torch.Generator().manual_seed(0)
    qkv = torch.randn(len(segments.tokens), 3 * D, generator=g)
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        leaf = qkv.to(torch.bfloat16).to(dtype).requires_grad_()
        way(leaf, shape(1, 1), segments).sum().backward()
        assert leaf.grad is not None
        grads.append(leaf.grad[:9].float())
    assert (grads[1] - grads[0]).norm() < 0.02 * grads[0].norm()


def test_a_cpu_computes_halves_in_fp32() -> None:
    segments, config = packed(*GROUPS[2]), shape(4, 2)
    g = torch.Generator().manual_seed(0)
    qkv = torch.randn(len(segments.tokens), 8 * D, generator=g).to(torch.bfloat16)
    torch.testing.assert_close(
        by_rows(qkv, config, segments), by_rows(qkv.float(), config, segments).to(torch.bfloat16), rtol=0, atol=0
    )


def test_stored_numbers_by_hand() -> None:
    """A root of T tokens: T probabilities a token, and query, key and value. A child of 2 with a parent of 3: 2 x 5
    probabilities, 2 x 5 keys and values, 2 queries. A head of keys for two of queries is kept once."""
    assert stored_per_token(packed((100, 100), (-1, -1)), (1, 1, D)) == 100 + 3 * D
    assert stored_per_token(packed((3, 2), (-1, 0)), (1, 1, D)) == (9 + 3 * 3 * D + 10 + 2 * 5 * D + 2 * D) / 5
    assert stored_per_token(packed((100, 100), (-1, -1)), (2, 1, D)) == 100 + 2 * D


def test_the_decoder_chooses_by_what_would_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Decoder(shape(4, 2))
    model.initialise(torch.Generator().manual_seed(0))
    segments, seen = packed((9, 3, 30), (-1, 0, 0)), []
    monkeypatch.setattr(decoding, "streamed_attention", lambda *given: seen.append(1) or streamed_attention(*given))
    short = model.hidden(segments)
    assert not seen
    monkeypatch.setattr(decoding, "STORED", 10)
    torch.testing.assert_close(model.hidden(segments), short)
    assert seen


PEAK = """
import resource, torch
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.segments import Segments
torch.set_num_threads(1)
model = Decoder(DecoderConfig(vocab_size=64, hidden_size=64, intermediate_size=64, num_layers=2, num_heads=8,
                              num_kv_heads=2, head_dim=8))
model.initialise(torch.Generator().manual_seed(0))
def peak(length):
    segments = Segments(torch.zeros(4 * length, dtype=torch.int64), (length,) * 4, (-1,) * 4)
    model.hidden(segments).sum().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
first = peak(16)
print(peak(2048) - first)
"""


def test_memory_of_long_segments_is_bounded() -> None:
    """Four segments of 2,048 tokens; their probabilities would be 2 layers x 4 x 8 heads x 2048^2 x 4 bytes = 1 GiB."""
    grown = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, timeout=120)
    assert float(grown.stdout) < 200
