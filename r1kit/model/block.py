"""A decoder's layer: its matrices and norms, and what the hub calls them.

Axes: N tokens, d hidden, H query heads, K key-value heads, D head size, f feed-forward, E experts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from r1kit.model.elementwise import OffsetNorm, geglu, rms_norm, swiglu
from r1kit.model.experts import Experts
from r1kit.model.families.dense import DecoderConfig
from r1kit.model.latent import LatentHeads
from r1kit.model.segments import Segments

__all__ = ["Ahead", "Attend", "Block", "make_norm", "normed"]


@dataclass(frozen=True, slots=True)
class Attend:
    """Attention over the packed tokens of one pass, planned once for all layers of a kind."""

    mix: Callable[[Tensor], Tensor]
    """[N, (H + 2 K) D] -> [N, H D]"""
    turns: tuple[Tensor, Tensor] | None = None
    """cos and sin [N, 1, r / 2], where heads come rotated (``LatentHeads``)."""


class Block(nn.Module):
    """Attention and feed-forward, each with a residual and with a norm before it, after it, or both."""

    def __init__(self, config: DecoderConfig, layer: int = 0) -> None:
        super().__init__()
        d, D, H, K = config.hidden_size, config.head_dim, config.num_heads, config.num_kv_heads
        before, after = config.norms != "after", config.norms != "before"
        wide = config.wide_qk_norm
        self.attention_norm = make_norm(config, d) if before else None
        self.qkv: nn.Linear | LatentHeads
        if config.latent:
            self.qkv = LatentHeads(config, config.latent)
        else:
            self.qkv = nn.Linear(d, (H + 2 * K) * D, bias=config.qkv_bias)
        self.q_norm = make_norm(config, H * D if wide else D) if config.qk_norm else None
        self.k_norm = make_norm(config, K * D if wide else D) if config.qk_norm else None
        self.out = nn.Linear(H * (config.latent.value if config.latent else D), d, bias=False)
        self.attention_after = make_norm(config, d) if after else None
        self.ffn_norm = make_norm(config, d) if before else None
        self.experts: Experts | None = None
        self.gate_up: nn.Linear | None = None
        self.down: nn.Linear | None = None
        if config.experts and layer >= (config.routing.dense_layers if config.routing else 0):
            self.experts = Experts(config, layer)
        else:
            width = config.routing.dense_size if config.routing else config.intermediate_size
            self.gate_up = nn.Linear(d, 2 * width, bias=False)
            self.down = nn.Linear(width, d, bias=False)
        self.ffn_after = make_norm(config, d) if after else None
        self._gated = swiglu if config.activation == "silu" else geglu

    def forward(self, x: Tensor, attend: Attend, config: DecoderConfig, segments: Segments) -> Tensor:
        """[N, d] -> [N, d]"""
        x = x + normed(self.out(self.attended(normed(x, self.attention_norm), attend, config)), self.attention_after)
        return x + normed(self.feed_forward(normed(x, self.ffn_norm), segments), self.ffn_after)

    def attended(self, x: Tensor, attend: Attend, config: DecoderConfig) -> Tensor:
        """[N, d], normalised -> what ``out`` takes."""
        if not isinstance(self.qkv, LatentHeads) or attend.turns is None or config.latent is None:
            return attend.mix(self.heads(x, config))
        D, wanted = config.latent.size, config.latent.value
        y = attend.mix(self.qkv(x, attend.turns))
        return y if wanted == D else y.view(len(x), -1, D)[..., :wanted].reshape(len(x), -1)

    def feed_forward(self, x: Tensor, segments: Segments | None = None) -> Tensor:
        """[N, d] -> [N, d], after the norm and before the residual."""
        if self.gate_up is None or self.down is None:
            assert self.experts is not None
            mixed: Tensor = self.experts(x, segments)
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
        names = self._hub_heads(config)
        names["self_attn.o_proj.weight"] = self.out.weight
        if self.q_norm is not None and self.k_norm is not None:
            names |= {"self_attn.q_norm.weight": self.q_norm.weight, "self_attn.k_norm.weight": self.k_norm.weight}
        if self.experts is not None:
            names |= {f"mlp.{name}": weight for name, weight in self.experts.hub_weights().items()}
        elif self.gate_up is not None and self.down is not None:
            gate, up = self.gate_up.weight.chunk(2)
            split = {"mlp.gate_proj.weight": gate, "mlp.up_proj.weight": up}
            names |= {"mlp.gate_up_proj.weight": self.gate_up.weight} if config.fused_names else split
            names["mlp.down_proj.weight"] = self.down.weight
        return names | self._hub_norms(config)

    def _hub_heads(self, config: DecoderConfig) -> dict[str, Tensor]:
        if isinstance(self.qkv, LatentHeads):
            return self.qkv.hub_weights()
        names: dict[str, Tensor] = {}
        parts = [config.num_heads * config.head_dim, *[config.num_kv_heads * config.head_dim] * 2]
        letters = ("q", "k", "v")
        if config.fused_names:
            names["self_attn.qkv_proj.weight"] = self.qkv.weight
        else:
            named = zip(letters, torch.split(self.qkv.weight, parts), strict=True)
            names |= {f"self_attn.{letter}_proj.weight": weight for letter, weight in named}
        if config.qkv_bias:
            named = zip(letters, torch.split(self.qkv.bias, parts), strict=True)
            names |= {f"self_attn.{letter}_proj.bias": weight for letter, weight in named}
        return names

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


class Ahead(nn.Module):
    """Multi-token prediction of depth 1 (DeepSeek-V3, 2412.19437, section 2.2): a block that sees a hidden state
    and the next token, and predicts the one after. Embedding and head are the trunk's; the hub keeps it as one more
    layer."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.embedding_norm, self.hidden_norm = make_norm(config, d), make_norm(config, d)
        self.join = nn.Linear(2 * d, d, bias=False)
        self.block = Block(config, config.num_layers)
        self.norm = make_norm(config, d)

    def forward(
        self, hidden: Tensor, following: Tensor, attend: Attend, config: DecoderConfig, segments: Segments
    ) -> Tensor:
        """See ``Decoder.further``."""
        both = torch.cat([normed(following, self.embedding_norm), normed(hidden, self.hidden_norm)], -1)
        return normed(self.block(self.join(both), attend, config, segments), self.norm)

    def hub_weights(self, config: DecoderConfig) -> dict[str, Tensor]:
        """Under their hub names within the layer."""
        return self.block.hub_weights(config) | {
            "enorm.weight": self.embedding_norm.weight,
            "hnorm.weight": self.hidden_norm.weight,
            "eh_proj.weight": self.join.weight,
            "shared_head.norm.weight": self.norm.weight,
        }


def make_norm(config: DecoderConfig, size: int) -> nn.RMSNorm:
    """The family's norm over ``size`` numbers."""
    kind = OffsetNorm if config.norm_offset else nn.RMSNorm
    return kind(size, eps=config.rms_norm_eps)


def normed(x: Tensor, norm: nn.RMSNorm | None) -> Tensor:
    """[N, d], as it is without a norm."""
    return x if norm is None else rms_norm(x, norm)
