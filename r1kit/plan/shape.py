"""The shape of a decoder and what follows from it: parameters, bytes of cache, operations. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.model.families.dense import DenseShape

__all__ = ["Experts", "Latent", "Shape", "shape_of_fresh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A mixture of experts in place of the feed-forward (DeepSeek-V3, section 2.1.2; Qwen3, section 2)."""

    number: int
    used: int
    """Of them for a token."""
    ffn: int
    """Width of one."""
    shared: int = 0
    """Width of what every token goes through besides."""
    shared_gate: bool = False
    """One number a token says how much of the shared part counts."""
    dense_layers: int = 0
    """Layers that have a plain feed-forward instead."""
    bias: bool = False
    """On the router and on every expert's matrices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, section 2.1): what is kept of a token is one compressed vector."""

    query: int
    """Rank of the queries' compression; 0: none."""
    kept: int
    """Numbers of the compressed keys and values."""
    rotary: int
    """Of the one rotary key that all heads share; a head's own part has ``head_dim`` numbers."""
    value: int
    """Of a head's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder with grouped-query or latent attention and a feed-forward or a mixture of experts.

    Windows of attention are not told: scores and cache are reckoned over the whole context.
    """

    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    gated: bool = True
    """Three matrices in a feed-forward, not two."""
    qkv_bias: bool = False
    output_bias: bool = False
    ffn_bias: bool = False
    qk_norm: Literal["", "head", "all"] = ""
    """Norms of queries and keys: over each head's numbers with one scale for all heads, or over all heads' together."""
    norms: int = 2
    """In a layer, besides those."""
    sinks: bool = False
    """Each head has a score that goes to no token."""
    experts: Experts | None = None
    latent: Latent | None = None

    @property
    def matrix_parameters(self) -> int:
        """Parameters that a token is multiplied with, the head included, the embedding's look-up not: N of 6 N D. Of
        experts those that a token goes through: what is called activated."""
        return self._matrices(self.experts.used if self.experts else 0)

    @property
    def parameters(self) -> int:
        """All of them, the embedding counted."""
        matrices = self._matrices(self.experts.number if self.experts else 0)
        return matrices + self.layers * self._vectors() + self.hidden + (0 if self.tied else self.vocab * self.hidden)

    def _matrices(self, experts: int) -> int:
        """With so many experts a layer counted."""
        width = 3 if self.gated else 2
        mixed, of = 0, self.experts
        if of:
            routed = of.number * self.hidden + width * self.hidden * (experts * of.ffn + of.shared)
            mixed = (self.layers - of.dense_layers) * (routed + (self.hidden if of.shared_gate else 0))
        dense = (of.dense_layers if of else self.layers) * width * self.hidden * self.ffn
        biases = (self.layers - of.dense_layers) * (of.number + experts * (2 * of.ffn + self.hidden)) if of else 0
        return (
            self.layers * self._attention()
            + dense
            + mixed
            + (biases if of and of.bias else 0)
            + self.vocab * self.hidden
        )

    def _attention(self) -> int:
        """A layer's matrices."""
        of = self.latent
        if of is None:
            return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        asked = self.heads * (self.head_dim + of.rotary)
        queries = of.query * (self.hidden + asked) if of.query else self.hidden * asked
        kept = self.hidden * (of.kept + of.rotary) + of.kept * self.heads * (self.head_dim + of.value)
        return queries + kept + self.heads * of.value * self.hidden

    def _vectors(self) -> int:
        """A layer's norms and biases."""
        count = self.norms * self.hidden + (self.heads if self.sinks else 0)
        if self.qk_norm:
            count += self.head_dim * (2 if self.qk_norm == "head" else self.heads + self.kv_heads)
        if self.latent:
            count += self.latent.query + self.latent.kept
        count += self.head_dim * (self.heads + 2 * self.kv_heads) if self.qkv_bias else 0
        count += self.hidden if self.output_bias else 0
        return count + ((2 if self.gated else 1) * self.ffn + self.hidden if self.ffn_bias else 0)

    @property
    def expert_parameters(self) -> int:
        """Those of routed experts, of all layers."""
        of = self.experts
        if of is None:
            return 0
        return (self.layers - of.dense_layers) * of.number * (3 if self.gated else 2) * self.hidden * of.ffn

    @property
    def head_numbers(self) -> int:
        """Of keys and values of all heads, a token and layer: what a cache that is not latent holds."""
        if self.latent is None:
            return 2 * self.kv_heads * self.head_dim
        return self.heads * (self.head_dim + self.latent.rotary + self.latent.value)

    def cache_bytes(self, width: int) -> int:
        """Bytes of keys and values a token leaves behind, ``width`` bytes a number."""
        if self.latent:
            return self.layers * (self.latent.kept + self.latent.rotary) * width
        return self.layers * self.head_numbers * width

    def attention_flops(self, context: float) -> float:
        """Forward operations of one token's scores and their sum over ``context`` earlier tokens."""
        of = self.latent
        numbers = self.head_dim + of.rotary + of.value if of else 2 * self.head_dim
        return 2.0 * self.layers * self.heads * numbers * context

    @property
    def activations(self) -> int:
        """Numbers of a layer that backward needs of a token, approximately."""
        heads = (2 * self.heads + 2 * self.kv_heads) * self.head_dim
        of = self.experts
        return 6 * self.hidden + heads + 4 * (of.used * of.ffn + of.shared if of else self.ffn)


def shape_of_fresh(model: Model, vocab: int) -> Shape:
    """The shape of a recipe's fresh decoder."""
    shape = model.shape
    if isinstance(shape, DeepseekShape):
        return _latent_shape(shape, vocab)
    if not isinstance(shape, DenseShape):
        raise InputError(f"this version plans decoders only, and model.family = {model.family!r} is none")
    return Shape(
        vocab=vocab,
        hidden=shape.hidden_size,
        ffn=shape.intermediate_size,
        layers=shape.num_layers,
        heads=shape.num_heads,
        kv_heads=shape.num_kv_heads,
        head_dim=shape.hidden_size // shape.num_heads,
        tied=shape.tie_embeddings,
        qkv_bias=model.family == "qwen2",
        qk_norm="head" if model.family == "qwen3" else "",
    )


def _latent_shape(shape: DeepseekShape, vocab: int) -> Shape:
    """The layer that predicts a token further is counted as one more, its join not."""
    return Shape(
        vocab=vocab,
        hidden=shape.hidden_size,
        ffn=shape.intermediate_size,
        layers=shape.num_layers + shape.mtp_layers,
        heads=shape.num_heads,
        kv_heads=shape.num_heads,
        head_dim=shape.qk_nope_head_dim,
        tied=shape.tie_embeddings,
        experts=Experts(
            number=shape.n_routed_experts,
            used=shape.num_experts_per_tok,
            ffn=shape.moe_intermediate_size,
            shared=shape.moe_intermediate_size * shape.n_shared_experts,
            dense_layers=shape.first_k_dense_replace,
        ),
        latent=Latent(
            query=shape.q_lora_rank,
            kept=shape.kv_lora_rank,
            rotary=shape.qk_rope_head_dim,
            value=shape.v_head_dim,
        ),
    )
