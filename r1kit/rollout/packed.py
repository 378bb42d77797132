"""The decoder's weights as a step wants them: norm weights folded in, rotary pairs side by side, matrices packed.

A norm's weight moves into the matrix after it, if there is one. The rows of q and k are reordered so that the two
halves of a rotary pair are neighbours: a rotation is then one complex product, and the dot products of q and k are the
same. On CPUs whose matrix units want bfloat16 weights in blocks, matrices are brought to that layout once and not at
every call.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.model.block import Ahead
from r1kit.model.decoder import Block, Decoder, DecoderConfig, rope_tables
from r1kit.model.elementwise import gain_of
from r1kit.model.experts import Experts
from r1kit.model.families.dense import Layer
from r1kit.model.latent import LatentHeads
from r1kit.rollout.latent import PackedLatent
from r1kit.rollout.linear import Linear, linear

__all__ = ["PackedBlock", "PackedDecoder", "rotations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBlock:
    layer: Layer
    before: bool
    """Attention and feed-forward have a norm before them."""
    qkv: Linear
    """Of latent attention: the queries or their compression, then the compressed keys and values, then the key."""
    latent: PackedLatent | None
    q_norm: Tensor | None
    """[D], or [H D] over all heads; rotary pairs side by side; as ``k_norm``."""
    k_norm: Tensor | None
    out: Linear
    attention_after: Tensor | None
    """[d]: gain of a norm between ``out`` and the residual."""
    feed_forward: PackedExperts | PackedFeedForward
    ffn_after: Tensor | None
    """[d]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFeedForward:
    gate_up: Linear
    down: Linear
    silu: bool
    """GELU's tanh form otherwise."""

    def inner(self, x: Tensor) -> Tensor:
        """[n, d], normalised -> what ``down`` takes, [n, f]."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return (F.silu(gate) if self.silu else F.gelu(gate, approximate="tanh")).mul_(up)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedExperts:
    """Experts get their norm's gain by itself: folded in, it would round the router's scores another way."""

    experts: Experts
    gain: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedAhead:
    """The layer that predicts a token further (``model.block.Ahead``)."""

    embedding_gain: Tensor
    """[d], as the others"""
    last_gain: Tensor
    """Of the model's last norm, which is in ``PackedDecoder.head`` otherwise."""
    hidden_gain: Tensor
    join: Linear
    block: PackedBlock
    head: Linear
    """The model's, behind this layer's own norm."""


class PackedDecoder:
    """What inference reads; made once for each load of weights."""

    def __init__(self, model: Decoder, *, ahead: bool = False) -> None:
        """``ahead``: the layer that predicts a token further too, where the model has it."""
        self.config = c = model.config
        self.embedding = model.embedding.weight
        if c.embedding_scale != 1.0:
            self.embedding = self.embedding * torch.tensor(c.embedding_scale, dtype=self.embedding.dtype)
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        self.blocks = [_block(block, c, layer) for block, layer in zip(blocks, c.layer_list, strict=True)]
        self.head = linear(_folded(model.head, gain_of(model.norm)), None)
        self.ahead = _ahead(model, model.ahead) if ahead and model.ahead is not None else None

    @property
    def cached(self) -> tuple[int, int, int, int]:
        """Parts of what is kept of a token (keys and values, or one for both); H, K and D of attention over them."""
        c = self.config
        if c.latent is not None:
            return 1, c.num_heads, 1, c.latent.kept + c.latent.rotary
        return 2, c.num_heads, c.num_kv_heads, c.head_dim


def _ahead(model: Decoder, ahead: Ahead) -> PackedAhead:
    return PackedAhead(
        embedding_gain=gain_of(ahead.embedding_norm),
        last_gain=gain_of(model.norm),
        hidden_gain=gain_of(ahead.hidden_norm),
        join=linear(ahead.join.weight, None),
        block=_block(ahead.block, model.config, Layer()),
        head=linear(_folded(model.head, gain_of(ahead.norm)), None),
    )


def rotations(config: DecoderConfig, positions: int, device: torch.device, layer: Layer) -> Tensor:
    """complex64 [positions, 1, D / 2]: the turn of each rotary pair at each position."""
    cos, sin = rope_tables(config, torch.arange(positions, device=device), torch.float32, layer)
    half = config.rotary_size // 2
    return torch.complex(cos[..., :half], sin[..., :half])


def _block(block: Block, config: DecoderConfig, layer: Layer) -> PackedBlock:
    qkv, latent = _heads(block, config)
    return PackedBlock(
        layer=layer,
        before=block.attention_norm is not None,
        qkv=qkv,
        latent=latent,
        q_norm=_head_gain(block.q_norm, config, config.query_scale),
        k_norm=_head_gain(block.k_norm, config),
        out=linear(block.out.weight, None),
        attention_after=_gain(block.attention_after),
        feed_forward=_feed_forward(block, config),
        ffn_after=_gain(block.ffn_after),
    )


def _heads(block: Block, config: DecoderConfig) -> tuple[Linear, PackedLatent | None]:
    heads = block.qkv
    if not isinstance(heads, LatentHeads):
        order = _paired(config, heads.weight.device)
        weight = _behind(block.attention_norm, heads.weight)[order]
        return linear(weight, _rows(heads.bias, order)), None
    of, H = heads.of, heads.heads
    size, device = of.plain + of.rotary, heads.kept_down.weight.device
    pairs = torch.arange(of.rotary, device=device) if of.interleaved else _pairs(of.rotary, device)
    head = torch.cat([torch.arange(of.plain, device=device), of.plain + pairs])
    asked = heads.query_up.weight.view(H, size, -1)[:, head].flatten(0, 1)
    kept = heads.kept_down.weight[torch.cat([torch.arange(of.kept, device=device), of.kept + pairs])]
    first, query_up = asked, None
    if heads.query_down is not None:
        first, query_up = heads.query_down.weight, linear(_behind(heads.query_norm, asked), None)
    up = _behind(heads.kept_norm, heads.kept_up.weight).view(H, of.plain + of.value, -1)
    down = linear(_behind(block.attention_norm, torch.cat([first, kept])), None)
    return down, PackedLatent(of=of, heads=H, query_up=query_up, up=up)


def _feed_forward(block: Block, config: DecoderConfig) -> PackedExperts | PackedFeedForward:
    if block.gate_up is None or block.down is None:
        assert block.experts is not None
        return PackedExperts(experts=block.experts, gain=_gain(block.ffn_norm))
    return PackedFeedForward(
        gate_up=linear(_behind(block.ffn_norm, block.gate_up.weight), None),
        down=linear(block.down.weight, None),
        silu=config.activation == "silu",
    )


def _gain(norm: nn.RMSNorm | None) -> Tensor | None:
    return None if norm is None else gain_of(norm)


def _head_gain(norm: nn.RMSNorm | None, config: DecoderConfig, scale: float = 1.0) -> Tensor | None:
    """Gain of a norm on queries or keys, with rotary pairs side by side."""
    if norm is None:
        return None
    gain = gain_of(norm)
    heads = gain.view(-1, config.head_dim)[:, _pairs(config.head_dim, gain.device)].reshape(-1)
    return heads if scale == 1.0 else heads.float() * scale


def _rows(bias: Tensor | None, order: Tensor) -> Tensor | None:
    return None if bias is None else bias[order]


def _behind(norm: nn.RMSNorm | None, weight: Tensor) -> Tensor:
    """A matrix with the gain of the norm before it folded in."""
    return weight if norm is None else _folded(weight, gain_of(norm))


def _folded(weight: Tensor, norm: Tensor) -> Tensor:
    """linear(x * norm) as one matrix; the product is taken in float32."""
    return (weight.float() * norm.float()).to(weight.dtype)


def _pairs(size: int, device: torch.device) -> Tensor:
    """0, D/2, 1, D/2 + 1, ...: the order in which the halves of rotary pairs are neighbours."""
    return torch.arange(size, device=device).view(2, size // 2).t().reshape(-1)


def _paired(config: DecoderConfig, device: torch.device) -> Tensor:
    """Rows of the fused qkv matrix, those of q and k with their pairs side by side."""
    rotated = (config.num_heads + config.num_kv_heads) * config.head_dim
    heads = torch.arange(0, rotated, config.head_dim, device=device)
    kept = torch.arange(rotated, rotated + config.num_kv_heads * config.head_dim, device=device)
    return torch.cat([(heads[:, None] + _pairs(config.head_dim, device)).reshape(-1), kept])
