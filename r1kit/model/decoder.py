"""One readable decoder for the Llama, Qwen2 and Qwen3 families.

RMSNorm, rotary positions, grouped-query attention, SwiGLU; tied head or not, QKV bias (Qwen2), QK norm (Qwen3).
q, k, v and gate, up are fused into one matrix each; ``hub.py`` splits them into the hub's names.

Axes: N packed tokens, d hidden, H query heads, K key-value heads, D head size, f feed-forward, V vocabulary.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.model.segments import Segments

__all__ = ["Block", "Decoder", "DecoderConfig", "apply_rope", "rope_tables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    family: str = "llama"
    """``llama``, ``qwen2`` or ``qwen3``: which hub class the checkpoint opens with."""
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] = field(default_factory=dict)
    """The hub config's rope parameters when their type is not ``default``."""
    rms_norm_eps: float = 1e-6
    tie_embeddings: bool = True
    qkv_bias: bool = False
    qk_norm: bool = False
    max_positions: int = 4096


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each with a residual."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d, D = config.hidden_size, config.head_dim
        heads = config.num_heads + 2 * config.num_kv_heads
        self.attention_norm = nn.RMSNorm(d, eps=config.rms_norm_eps)
        self.qkv = nn.Linear(d, heads * D, bias=config.qkv_bias)
        self.q_norm = nn.RMSNorm(D, eps=config.rms_norm_eps) if config.qk_norm else None
        self.k_norm = nn.RMSNorm(D, eps=config.rms_norm_eps) if config.qk_norm else None
        self.out = nn.Linear(config.num_heads * D, d, bias=False)
        self.ffn_norm = nn.RMSNorm(d, eps=config.rms_norm_eps)
        self.gate_up = nn.Linear(d, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, d, bias=False)


class Decoder(nn.Module):
    """``hidden`` for training; the engine reads the weights and runs its own cached decode."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = None if config.tie_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    @property
    def head(self) -> Tensor:
        """[V, d]"""
        return self.embedding.weight if self.lm_head is None else self.lm_head.weight

    def initialise(self, generator: torch.Generator) -> None:
        """Fresh weights: 1/sqrt(fan-in), residual writers scaled by 1/sqrt(2 layers), embedding 0.5/sqrt(d)."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() < 2:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)
                    continue
                std = 1 / math.sqrt(weight.shape[1])
                if name.endswith(("out.weight", "down.weight")):
                    std /= math.sqrt(2 * self.config.num_layers)
                if name.startswith("embedding"):
                    std = 0.5 / math.sqrt(self.config.hidden_size)
                weight.normal_(0.0, std, generator=generator)

    def hidden(self, segments: Segments) -> Tensor:
        """Hidden states after the last norm, [N, d], for tokens packed as ``segments``."""
        x = self.embedding(segments.tokens)
        cos, sin = rope_tables(self.config, segments.positions(), x.dtype)
        for block in self.blocks:
            x = x + block.out(self._attention(block, block.attention_norm(x), cos, sin, segments))
            gate, up = block.gate_up(block.ffn_norm(x)).chunk(2, dim=-1)
            x = x + block.down(F.silu(gate) * up)
        return self.norm(x)

    def _attention(self, block: Block, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> Tensor:
        """[N, d] -> [N, H * D]"""
        c = self.config
        H, K = c.num_heads, c.num_kv_heads
        q, k, v = block.qkv(x).view(len(x), H + 2 * K, c.head_dim).split([H, K, K], dim=1)
        if block.q_norm is not None:
            q, k = block.q_norm(q), block.k_norm(k)
        q, k = apply_rope(q, cos, sin), apply_rope(k, cos, sin)
        starts, outputs = segments.starts, []
        for start, length, parent in zip(starts, segments.lengths, segments.parents, strict=True):
            own = slice(start, start + length)
            keys, values, seen = k[own], v[own], 0
            if parent >= 0:
                seen = segments.lengths[parent]
                before = slice(starts[parent], starts[parent] + seen)
                keys, values = torch.cat([k[before], keys]), torch.cat([v[before], values])
            mask = torch.ones(length, seen + length, dtype=torch.bool, device=x.device).tril(seen)
            y = F.scaled_dot_product_attention(
                q[own].transpose(0, 1), keys.transpose(0, 1), values.transpose(0, 1), attn_mask=mask, enable_gqa=H != K
            )
            outputs.append(y.transpose(0, 1).reshape(length, H * c.head_dim))
        return torch.cat(outputs)


def rope_tables(config: DecoderConfig, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin, each [N, 1, D], the two halves of D rotated against each other (hub convention)."""
    D = config.head_dim
    frequency, scale = _frequencies(config, positions.device)
    angle = positions[:, None].float() * frequency
    cos, sin = torch.cat([angle, angle], -1).cos() * scale, torch.cat([angle, angle], -1).sin() * scale
    return cos.to(dtype).view(-1, 1, D), sin.to(dtype).view(-1, 1, D)


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x [N, heads, D] by its positions' tables [N, 1, D]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _frequencies(config: DecoderConfig, device: torch.device) -> tuple[Tensor, float]:
    """Inverse frequencies [D / 2] and the factor on cos and sin."""
    if config.rope_scaling:
        scaling = json.dumps(config.rope_scaling, sort_keys=True)
        frequency, scale = _scaled_frequencies(scaling, config.rope_theta, config.head_dim, config.max_positions)
        return frequency.to(device), scale
    exponent = torch.arange(0, config.head_dim, 2, device=device).float() / config.head_dim
    return 1.0 / config.rope_theta**exponent, 1.0


@functools.lru_cache
def _scaled_frequencies(scaling: str, theta: float, head_dim: int, max_positions: int) -> tuple[Tensor, float]:
    """``_frequencies`` of a scaled kind (its parameters as JSON), computed by transformers, on the CPU."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {**json.loads(scaling), "rope_theta": theta}
    hub = LlamaConfig(
        hidden_size=head_dim,
        num_attention_heads=1,
        head_dim=head_dim,
        max_position_embeddings=max_positions,
        rope_parameters=rope,
    )
    return ROPE_INIT_FUNCTIONS[rope["rope_type"]](hub, torch.device("cpu"))
