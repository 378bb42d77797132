"""A decoder's layer: its matrices and norms, and what the hub calls them.

Axes: N tokens, d hidden, H query heads, K key-value heads, D head size, f feed-forward, E experts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from r1kit.model.elementwise import OffsetNorm, geglu, rms_norm, swiglu
from r1kit.model.experts import Experts
from r1kit.model.families.dense import DecoderConfig

__all__ = ["Block", "make_norm", "normed"]


class Block(nn.Module):
    """Attention and feed-forward, each with a residual and with a norm before it, after it, or both."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d, D, H, K = config.hidden_size, config.head_dim, config.num_heads, config.num_kv_heads
        before, after = config.norms != "after", config.norms != "before"
        wide = config.wide_qk_norm
        self.attention_norm = make_norm(config, d) if before else None
        self.qkv = nn.Linear(d, (H + 2 * K) * D, bias=config.qkv_bias)
        self.q_norm = make_norm(config, H * D if wide else D) if config.qk_norm else None
        self.k_norm = make_norm(config, K * D if wide else D) if config.qk_norm else None
        self.out = nn.Linear(H * D, d, bias=False)
        self.attention_after = make_norm(config, d) if after else None
        self.ffn_norm = make_norm(config, d) if before else None
        self.experts: Experts | None = None
        self.gate_up: nn.Linear | None = None
        self.down: nn.Linear | None = None
        if config.experts:
            self.experts = Experts(config)
        else:
            self.gate_up = nn.Linear(d, 2 * config.intermediate_size, bias=False)
            self.down = nn.Linear(config.intermediate_size, d, bias=False)
        self.ffn_after = make_norm(config, d) if after else None
        self._gated = swiglu if config.activation == "silu" else geglu

    def forward(self, x: Tensor, attend: Callable[[Tensor], Tensor], config: DecoderConfig) -> Tensor:
        """[N, d] -> [N, d]; ``attend`` takes [N, (H + 2 K) D] to [N, H D]."""
        x = x + normed(self.out(attend(self.heads(normed(x, self.attention_norm), config))), self.attention_after)
        return x + normed(self.feed_forward(normed(x, self.ffn_norm)), self.ffn_after)

    def feed_forward(self, x: Tensor) -> Tensor:
        """[N, d] -> [N, d], after the norm and before the residual."""
        if self.gate_up is None or self.down is None:
            assert self.experts is not None
            mixed: Tensor = self.experts(x)
            return mixed
        made: Tensor = self.down(self._gated(self.gate_up(x)))
        return made

    def heads(self, x: Tensor, config: DecoderConfig) -> Tensor:
        """[N, d] -> [N, (H + 2 K) D], queries and keys normalised where the family does so."""
        qkv: Tensor = self.qkv(x)
        if self.q_norm is None or self.k_norm is None:
            return qkv
        H, K, D = config.num_heads, config.num_kv_heads, config.head_dim
        if config.wide_qk_norm:
            q, k, v = qkv.split([H * D, K * D, K * D], dim=1)
            return torch.cat([rms_norm(q, self.q_norm), rms_norm(k, self.k_norm), v], dim=1)
        q, k, v = qkv.view(len(x), H + 2 * K, D).split([H, K, K], dim=1)
        q, k = self.q_norm(q), self.k_norm(k)
        if config.query_scale != 1.0:
            q = q * config.query_scale
        return torch.cat([q, k, v], dim=1).view(len(x), -1)

    def hub_weights(self, config: DecoderConfig) -> dict[str, Tensor]:
        """The layer's weights under their hub names within it; views, no copies."""
        names: dict[str, Tensor] = {}
        parts = [config.num_heads * config.head_dim, *[config.num_kv_heads * config.head_dim] * 2]
        letters = ("q", "k", "v")
        if config.fused_names:
            names["self_attn.qkv_proj.weight"] = self.qkv.weight
        else:
            named = zip(letters, torch.split(self.qkv.weight, parts), strict=True)
            names |= {f"self_attn.{letter}_proj.weight": weight for letter, weight in named}
        names["self_attn.o_proj.weight"] = self.out.weight
        if config.qkv_bias:
            named = zip(letters, torch.split(self.qkv.bias, parts), strict=True)
            names |= {f"self_attn.{letter}_proj.bias": weight for letter, weight in named}
        if self.q_norm is not None and self.k_norm is not None:
            names |= {"self_attn.q_norm.weight": self.q_norm.weight, "self_attn.k_norm.weight": self.k_norm.weight}
        if self.experts is not None:
            names |= {f"mlp.{name}": weight for name, weight in self.experts.hub_weights().items()}
        elif self.gate_up is not None and self.down is not None:
            gate, up = torch.split(self.gate_up.weight, config.intermediate_size)
            split = {"mlp.gate_proj.weight": gate, "mlp.up_proj.weight": up}
            names |= {"mlp.gate_up_proj.weight": self.gate_up.weight} if config.fused_names else split
            names["mlp.down_proj.weight"] = self.down.weight
        return names | self._hub_norms(config)

    def _hub_norms(self, config: DecoderConfig) -> dict[str, Tensor]:
        """With norms before alone, the hub calls the feed-forward's ``post_attention_layernorm``."""
        second = "post_attention_layernorm" if config.norms == "before" else "pre_feedforward_layernorm"
        norms = {
            "input_layernorm": self.attention_norm,
            second: self.ffn_norm,
            "post_attention_layernorm" if config.norms != "before" else "": self.attention_after,
            "post_feedforward_layernorm": self.ffn_after,
        }
        return {f"{name}.weight": norm.weight for name, norm in norms.items() if norm is not None}


def make_norm(config: DecoderConfig, size: int) -> nn.RMSNorm:
    """The family's norm over ``size`` numbers."""
    kind = OffsetNorm if config.norm_offset else nn.RMSNorm
    return kind(size, eps=config.rms_norm_eps)


def normed(x: Tensor, norm: nn.RMSNorm | None) -> Tensor:
    """[N, d], as it is without a norm."""
    return x if norm is None else rms_norm(x, norm)
