"""One readable decoder for the Llama, Qwen2 and Qwen3 families.

RMSNorm, rotary positions, grouped-query attention, SwiGLU; tied head or not, QKV bias (Qwen2), QK norm (Qwen3).
q, k, v and gate, up are fused into one matrix each; ``hub.py`` splits them into the hub's names.

Axes: N packed tokens, d hidden, H query heads, K key-value heads, D head size, f feed-forward, V vocabulary.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from r1kit.model.attention import packed_attention, plan_attention, stored_per_token
from r1kit.model.elementwise import rms_norm, swiglu
from r1kit.model.segments import Segments
from r1kit.model.streamed_attention import (
    has_variable_length_kernel,
    plan_lengths,
    streamed_attention,
    variable_length_attention,
)

__all__ = ["Block", "Decoder", "DecoderConfig", "apply_rope", "rope_tables"]

STORED = 1536
"""Most that the hand-written attention may keep, per token and query head and layer (6 KB of fp32): with a head size of
64, single segments of some 1,300 tokens, about where streaming becomes as fast on a CPU. Groups of many short answers
to a prompt of some 200 tokens reach it too; streamed they take up to twice as long, but their memory is bounded."""


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
        return self.transform(self.embedding(segments.tokens), segments)

    def transform(self, x: Tensor, segments: Segments) -> Tensor:
        """``hidden`` from embeddings [N, d] that were already looked up."""
        attend = self._attention(segments, x)
        for block in cast("list[Block]", list(self.blocks)):
            x = x + block.out(attend(self._qkv(block, rms_norm(x, block.attention_norm))))
            x = x + block.down(swiglu(block.gate_up(rms_norm(x, block.ffn_norm))))
        return rms_norm(x, self.norm)

    def _attention(self, segments: Segments, x: Tensor) -> Callable[[Tensor], Tensor]:
        """[N, (H + 2 K) D] -> [N, H D], planned once for all layers, for the device and dtype of x.

        The kernel of variable lengths where there is one; otherwise by what would be stored.
        """
        c = self.config
        H, K, D = heads = c.num_heads, c.num_kv_heads, c.head_dim
        fused = has_variable_length_kernel(x, D)
        if not fused and stored_per_token(segments, heads) <= STORED:
            plan = plan_attention(segments, heads, x.dtype)
            cos, sin = (one[:, 0] for one in rope_tables(c, torch.arange(plan.positions, device=x.device), x.dtype))
            return lambda qkv: packed_attention(qkv, cos, sin, plan)
        tables = rope_tables(c, segments.positions(), x.dtype)
        lengths = plan_lengths(segments) if fused else None

        def attend(qkv: Tensor) -> Tensor:
            turning, v = qkv.view(-1, H + 2 * K, D).split([H + K, K], dim=1)
            q, k = apply_rope(turning, *tables).split([H, K], dim=1)
            if lengths is not None:
                return variable_length_attention(q, k, v, lengths).reshape(len(qkv), -1)
            return streamed_attention(q, k, v, segments).view(len(qkv), -1)

        return attend

    def _qkv(self, block: Block, x: Tensor) -> Tensor:
        """[N, d] -> [N, (H + 2 K) D], queries and keys normalised where the family does so."""
        qkv: Tensor = block.qkv(x)
        if block.q_norm is None or block.k_norm is None:
            return qkv
        H, K, D = self.config.num_heads, self.config.num_kv_heads, self.config.head_dim
        q, k, v = qkv.view(len(x), H + 2 * K, D).split([H, K, K], dim=1)
        return torch.cat([block.q_norm(q), block.k_norm(k), v], dim=1).view(len(x), -1)


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
