"""One readable decoder for the built-in families (``model.families``).

RMSNorm, rotary positions, grouped-query attention, gated feed-forward; what a family has besides is a setting of
``DecoderConfig``. q, k, v and gate, up are one matrix each; ``hub_weights`` splits them into the hub's names.

Axes: N packed tokens, d hidden, H query heads, K key-value heads, D head size, f feed-forward, V vocabulary.
"""

from __future__ import annotations

import copy
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from r1kit.checkpoint.context import refuse_longer
from r1kit.checkpoint.hub import read_weights, write_settings, write_weights
from r1kit.checkpoint.streamed import StoredWeights, write_stream
from r1kit.model.attention import packed_attention, plan_attention, stored_per_token
from r1kit.model.block import Ahead, Attend, Block, make_norm
from r1kit.model.elementwise import rms_norm
from r1kit.model.families import family
from r1kit.model.families.dense import DecoderConfig, DenseFamily, Layer
from r1kit.model.finish import PLAIN
from r1kit.model.segments import Segments
from r1kit.model.streamed_attention import (
    has_variable_length_kernel,
    plan_lengths,
    streamed_attention,
    variable_length_attention,
)
from r1kit.model.weights import NamedWeights, WeightStream, check_finite, check_fit, copy_weights

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

__all__ = ["Block", "Decoder", "DecoderConfig", "apply_rope", "hub_config", "load_decoder", "rope_tables"]

STORED = 1536
"""Most that the hand-written attention may keep, per token and query head and layer (6 KB of fp32): with a head size of
64, single segments of some 1,300 tokens, about where streaming becomes as fast on a CPU. Groups of many short answers
to a prompt of some 200 tokens reach it too; streamed they take up to twice as long, but their memory is bounded."""
WHOLE = Layer()
RESIDUAL = ("out.weight", ".down.weight", "shared_down.weight", "experts.down")
"""Matrices that write onto the residual."""
CHECKPOINT = "the checkpoint"


class Decoder(nn.Module):
    """A ``LanguageModel``: ``hidden`` for training; the engine reads the weights and runs its own cached decode."""

    head_bias, finish = None, PLAIN

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.hub: PretrainedConfig | None = None
        """The config it was loaded with, which is what it is saved with."""
        self.generation: dict[str, Any] = {}
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = make_norm(config, config.hidden_size)
        self.lm_head = None if config.tie_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.ahead = Ahead(config) if config.ahead else None
        """Predicts a token further; no part of ``hidden``."""

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
        for name, weight in self.named_parameters():
            self.draw_(name, weight, generator)

    @torch.no_grad()
    def draw_(self, name: str, weight: Tensor, generator: torch.Generator) -> None:
        """Fill the parameter of this name, or a tensor of its shape."""
        if weight.dim() < 2:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
            return
        std = 1 / math.sqrt(weight.shape[-1])
        if name.endswith(RESIDUAL):
            std /= math.sqrt(2 * self.config.num_layers)
        if name.startswith("embedding"):
            std = 0.5 / math.sqrt(self.config.hidden_size)
        weight.normal_(0.0, std, generator=generator)

    def hidden(self, segments: Segments) -> Tensor:
        """Hidden states after the last norm, [N, d], for tokens packed as ``segments``."""
        return self.transform(self.embedding(segments.tokens), segments)

    def transform(self, x: Tensor, segments: Segments) -> Tensor:
        """``hidden`` from embeddings [N, d] that were already looked up in ``table``."""
        c = self.config
        if c.lengthens:
            refuse_longer(c.family, (c.max_positions, c.lengthens), int(segments.positions().max()) + 1)
        if c.embedding_scale != 1.0:
            x = x * torch.tensor(c.embedding_scale, dtype=x.dtype, device=x.device)
        attends = {layer: self._attention(segments, x, layer) for layer in set(c.layer_list)}
        for block, layer in zip(self.blocks, c.layer_list, strict=True):
            x = block(x, attends[layer], c, segments)
        return rms_norm(x, self.norm)

    def further(self, hidden: Tensor, following: Tensor, segments: Segments) -> Tensor:
        """What the head reads of the token after the next, [N, d].

        Args:
            hidden: from ``transform``, [N, d].
            following: embedding of each token's next one, [N, d].
        """
        assert self.ahead is not None, "this model predicts one token"
        further: Tensor = self.ahead(hidden, following, self._attention(segments, hidden, WHOLE), self.config, segments)
        return further

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
        names = {"model.embed_tokens.weight": self.embedding.weight}
        for index, block in enumerate(cast("list[Block]", list(self.blocks))):
            names |= {f"model.layers.{index}.{name}": one for name, one in block.hub_weights(self.config).items()}
        if self.ahead is not None:
            prefix = f"model.layers.{self.config.num_layers}."
            names |= {prefix + name: one for name, one in self.ahead.hub_weights(self.config).items()}
        names["model.norm.weight"] = self.norm.weight
        if self.lm_head is not None:
            names["lm_head.weight"] = self.lm_head.weight
        return {name: weight.detach() for name, weight in names.items()}

    def published(self, stream: WeightStream) -> WeightStream:
        """See ``LanguageModel.published``: its names are the hub's."""
        return stream

    def load_hub_weights(self, stream: WeightStream) -> None:
        """Copy hub-named weights in, in the decoder's own dtype and on its own device.

        A tied head may come along as ``lm_head.weight`` if it equals the embedding; any other name too many or too few,
        or a wrong shape, is an InputError that leaves the decoder as it was.
        """
        with torch.no_grad():
            copy_weights(self.hub_weights(), stream, CHECKPOINT, self.tied)

    @property
    def tied(self) -> dict[str, str]:
        """Hub names that may come along, and the weight that each is here."""
        table = "model.embed_tokens.weight"
        head = table if self.lm_head is None else "lm_head.weight"
        found = {"lm_head.weight": table} if self.lm_head is None else {}
        if self.ahead is not None:
            prefix = f"model.layers.{self.config.num_layers}."
            found |= {f"{prefix}embed_tokens.weight": table, f"{prefix}shared_head.head.weight": head}
        return found

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase, weights: WeightStream | None = None) -> None:
        """Config and weights, as the family's hub class reads them."""
        if weights is None:
            write_weights(folder, self.hub_weights())
        else:
            write_stream(folder, weights)
        write_settings(folder, self.hub_config(), tokenizer)

    def hub_config(self) -> PretrainedConfig:
        """What ``config.json`` says of it, a copy: as it was loaded, or as its family's hub class would build it."""
        config = copy.deepcopy(self.hub) if self.hub is not None else hub_config(self.config)
        config.dtype = self.embedding.weight.dtype
        return config

    def _attention(self, segments: Segments, x: Tensor, layer: Layer) -> Attend:
        """Planned once for all layers of a kind, for the device and dtype of x.

        Where ranks share the tokens: of N / P of them, by way of all tokens and H / P heads.
        """
        c = self.config
        H, K, D = heads = c.num_heads, c.num_kv_heads, c.head_dim
        spread, turns = segments.spread, None
        if c.latent is not None:
            positions = segments.positions()
            own = positions if spread is None else positions[spread.slice_of(len(positions))]
            cos, sin = rope_tables(c, own, x.dtype, layer)
            turns = cos[..., : c.latent.rotary // 2], sin[..., : c.latent.rotary // 2]
        if spread is None:
            return Attend(self._attend(segments, x, layer, heads), turns)
        attend = self._attend(segments, x, layer, (H // spread.size, K // spread.size, D))
        return Attend(lambda qkv: spread.to_tokens(attend(spread.to_heads(qkv, heads))), turns)

    def _attend(
        self, segments: Segments, x: Tensor, layer: Layer, heads: tuple[int, int, int]
    ) -> Callable[[Tensor], Tensor]:
        """``Attend.mix`` of heads (H, K, D): the kernel of variable lengths, or by what would be stored."""
        c = self.config
        H, K, D = heads
        fused = has_variable_length_kernel(x, D)
        if not fused and stored_per_token(segments, heads) <= STORED:
            plan = plan_attention(segments, heads, x.dtype, layer.window)
            if c.latent is not None:
                return lambda qkv: packed_attention(qkv, None, plan)
            positions = torch.arange(plan.positions, device=x.device)
            cos, sin = (one[:, 0] for one in rope_tables(c, positions, plan.dtype, layer))
            return lambda qkv: packed_attention(qkv, (cos, sin), plan)
        tables = None if c.latent is not None else rope_tables(c, segments.positions(), x.dtype, layer)
        lengths = plan_lengths(segments) if fused else None

        def attend(qkv: Tensor) -> Tensor:
            turning, v = qkv.view(-1, H + 2 * K, D).split([H + K, K], dim=1)
            q, k = (turning if tables is None else apply_rope(turning, *tables)).split([H, K], dim=1)
            if lengths is not None:
                return variable_length_attention(q, k, v, lengths, layer.window).reshape(len(qkv), -1)
            return streamed_attention(q, k, v, segments, layer.window).view(len(qkv), -1)

        return attend


def hub_config(config: DecoderConfig) -> PretrainedConfig:
    """The hub config with which `transformers` builds the same model."""
    return cast(DenseFamily, family(config.family)).to_hub(config)


def load_decoder(
    folder: Path, config: DecoderConfig, dtype: torch.dtype, hub: PretrainedConfig | None = None, empty: bool = False
) -> Decoder:
    """The decoder with the weights of a hub-format folder, in ``dtype``, on the CPU; saved with the config ``hub``.

    ``empty``: on the ``meta`` device, without its numbers, which are only seen to fit.
    """
    with torch.device("meta"):
        decoder = Decoder(config)
    assert not list(decoder.buffers()), "to_empty would leave buffers undefined"
    decoder.to(dtype).hub = hub
    if empty:
        own = {name: tuple(weight.shape) for name, weight in decoder.hub_weights().items()}
        check_fit(own, StoredWeights(folder), CHECKPOINT, decoder.tied)
        return decoder
    decoder.to_empty(device="cpu")
    decoder.load_hub_weights(NamedWeights(read_weights(folder)))
    check_finite(folder, decoder)
    return decoder


def rope_tables(
    config: DecoderConfig, positions: Tensor, dtype: torch.dtype, layer: Layer = WHOLE
) -> tuple[Tensor, Tensor]:
    """cos and sin, each [N, 1, D], D the rotary size: its two halves rotated against each other (hub convention)."""
    D = config.rotary_size
    frequency, scale = _frequencies(config, positions.device, layer)
    angle = positions[:, None].float() * frequency
    cos, sin = torch.cat([angle, angle], -1).cos() * scale, torch.cat([angle, angle], -1).sin() * scale
    return cos.to(dtype).view(-1, 1, D), sin.to(dtype).view(-1, 1, D)


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x [N, heads, D] by its positions' tables [N, 1, D]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _frequencies(config: DecoderConfig, device: torch.device, layer: Layer) -> tuple[Tensor, float]:
    """Inverse frequencies [D / 2] and the factor on cos and sin."""
    if layer.rope == "none":
        return torch.zeros(config.rotary_size // 2, device=device), 1.0
    if config.rope_scaling and layer.rope == "whole":
        scaling = json.dumps(config.rope_scaling, sort_keys=True)
        frequency, scale = _scaled_frequencies(scaling, config.rope_theta, config.rotary_size, config.max_positions)
        return frequency.to(device), scale
    theta = config.rope_theta if layer.rope == "whole" else config.local_theta
    exponent = torch.arange(0, config.rotary_size, 2, device=device).float() / config.rotary_size
    return 1.0 / theta**exponent, 1.0


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
