"""One readable decoder for the Llama, Qwen2 and Qwen3 families.

RMSNorm, rotary positions, grouped-query attention, SwiGLU; tied head or not, QKV bias (Qwen2), QK norm (Qwen3).
q, k, v and gate, up are fused into one matrix each; ``hub_weights`` splits them into the hub's names.

Axes: N packed tokens, d hidden, H query heads, K key-value heads, D head size, f feed-forward, V vocabulary.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from r1kit.model.attention import packed_attention, plan_attention, stored_per_token
from r1kit.model.elementwise import rms_norm, swiglu
from r1kit.model.families import family
from r1kit.model.families.dense import DecoderConfig, DenseFamily
from r1kit.model.finish import PLAIN
from r1kit.model.hub import read_weights, write_settings, write_weights
from r1kit.model.segments import Segments
from r1kit.model.streamed_attention import (
    has_variable_length_kernel,
    plan_lengths,
    streamed_attention,
    variable_length_attention,
)
from r1kit.model.weights import NamedWeights, WeightStream, copy_weights

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

__all__ = ["Block", "Decoder", "DecoderConfig", "apply_rope", "hub_config", "load_decoder", "rope_tables"]

STORED = 1536
"""Most that the hand-written attention may keep, per token and query head and layer (6 KB of fp32): with a head size of
64, single segments of some 1,300 tokens, about where streaming becomes as fast on a CPU. Groups of many short answers
to a prompt of some 200 tokens reach it too; streamed they take up to twice as long, but their memory is bounded."""


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
    """A ``LanguageModel``: ``hidden`` for training; the engine reads the weights and runs its own cached decode."""

    head_bias, finish = None, PLAIN

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.generation: dict[str, Any] = {}
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = None if config.tie_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    @property
    def head(self) -> Tensor:
        """[V, d]"""
        return self.embedding.weight if self.lm_head is None else self.lm_head.weight

    @property
    def table(self) -> Tensor:
        """[V, d]: where embeddings are looked up."""
        return self.embedding.weight

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
        """``hidden`` from embeddings [N, d] that were already looked up in ``table``."""
        attend = self._attention(segments, x)
        for block in cast("list[Block]", list(self.blocks)):
            x = x + block.out(attend(self._qkv(block, rms_norm(x, block.attention_norm))))
            x = x + block.down(swiglu(block.gate_up(rms_norm(x, block.ffn_norm))))
        return rms_norm(x, self.norm)

    def after_step(self) -> None:
        """Nothing follows from the weights."""

    def parts(self, role: str, rows: int) -> tuple[int, ...]:
        """Rows of the matrices that are fused: (H D, K D, K D) for q, k, v, (f, f) for gate and up."""
        c = self.config
        if role.endswith(".qkv.weight"):
            return (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim, c.num_kv_heads * c.head_dim)
        return (rows // 2, rows // 2) if role.endswith(".gate_up.weight") else (rows,)

    def hub_weights(self) -> dict[str, Tensor]:
        """Every weight under its hub name, detached; views into the decoder's own memory, no copies."""
        names, heads = {"model.embed_tokens.weight": self.embedding.weight}, list(self.parts(".qkv.weight", 0))
        for index, block in enumerate(cast("list[Block]", list(self.blocks))):
            prefix = f"model.layers.{index}."
            q, k, v = torch.split(block.qkv.weight, heads)
            gate, up = torch.split(block.gate_up.weight, self.config.intermediate_size)
            attention = {"q_proj.weight": q, "k_proj.weight": k, "v_proj.weight": v, "o_proj.weight": block.out.weight}
            if self.config.qkv_bias:
                biases = torch.split(block.qkv.bias, heads)
                attention |= dict(zip(("q_proj.bias", "k_proj.bias", "v_proj.bias"), biases, strict=True))
            if block.q_norm is not None and block.k_norm is not None:
                attention |= {"q_norm.weight": block.q_norm.weight, "k_norm.weight": block.k_norm.weight}
            names |= {f"{prefix}self_attn.{name}": weight for name, weight in attention.items()}
            names |= {
                f"{prefix}mlp.gate_proj.weight": gate,
                f"{prefix}mlp.up_proj.weight": up,
                f"{prefix}mlp.down_proj.weight": block.down.weight,
                f"{prefix}input_layernorm.weight": block.attention_norm.weight,
                f"{prefix}post_attention_layernorm.weight": block.ffn_norm.weight,
            }
        names["model.norm.weight"] = self.norm.weight
        if self.lm_head is not None:
            names["lm_head.weight"] = self.lm_head.weight
        return {name: weight.detach() for name, weight in names.items()}

    def load_hub_weights(self, stream: WeightStream) -> None:
        """Copy hub-named weights in, in the decoder's own dtype and on its own device.

        A tied head may come along as ``lm_head.weight`` if it equals the embedding; any other name too many or too few,
        or a wrong shape, is an InputError that leaves the decoder as it was.
        """
        tied = {"lm_head.weight": "model.embed_tokens.weight"} if self.lm_head is None else {}
        with torch.no_grad():
            copy_weights(self.hub_weights(), stream, "the checkpoint", tied)

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Config and weights, as the family's hub class reads them."""
        config = hub_config(self.config)
        config.dtype = self.embedding.weight.dtype
        write_weights(folder, self.hub_weights())
        write_settings(folder, config, tokenizer)

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


def hub_config(config: DecoderConfig) -> PretrainedConfig:
    """The hub config with which `transformers` builds the same model."""
    return cast(DenseFamily, family(config.family)).to_hub(config)


def load_decoder(folder: Path, config: DecoderConfig, dtype: torch.dtype) -> Decoder:
    """The decoder with the weights of a hub-format folder, in ``dtype``, on the CPU."""
    with torch.device("meta"):
        decoder = Decoder(config)
    assert not list(decoder.buffers()), "to_empty would leave buffers undefined"
    decoder.to(dtype).to_empty(device="cpu")
    decoder.load_hub_weights(NamedWeights(read_weights(folder)))
    return decoder


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
