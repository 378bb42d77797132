"""The shape of a decoder and what follows from it: parameters, bytes of cache, operations. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.model.families.dense import DenseShape

__all__ = ["Shape", "shape_of_fresh", "shape_of_hub", "shape_of_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A dense decoder with grouped-query attention and a gated feed-forward."""

    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    qkv_bias: bool = False
    qk_norm: bool = False

    @property
    def matrix_parameters(self) -> int:
        """Parameters that a token is multiplied with, the head included, the embedding's look-up not: N of 6 N D."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.ffn) + self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All of them, the embedding counted."""
        norms = self.layers * (2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)) + self.hidden
        biases = self.layers * self.head_dim * (self.heads + 2 * self.kv_heads) if self.qkv_bias else 0
        return self.matrix_parameters + norms + biases + (0 if self.tied else self.vocab * self.hidden)

    def cache_bytes(self, width: int) -> int:
        """Bytes of keys and values a token leaves behind, ``width`` bytes a number."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width

    def attention_flops(self, context: float) -> float:
        """Forward operations of one token's scores and their sum over ``context`` earlier tokens."""
        return 4.0 * self.layers * self.heads * self.head_dim * context


def shape_of_fresh(model: Model, vocab: int) -> Shape:
    """The shape of a recipe's fresh decoder."""
    shape = model.shape
    if not isinstance(shape, DenseShape):
        raise InputError(f"this version plans dense decoders only, and model.family = {model.family!r} is none")
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
        qk_norm=model.family == "qwen3",
    )


def shape_of_named(model: Model, vocab: int, where: str = "model") -> Shape:
    """The shape of a model with a name: its table's own keys, or its folder where it is on this machine.

    Raises:
        InputError: neither says it; ``where`` is the table's dotted name.
    """
    from r1kit.model.source import local_folder

    given, fresh = model.shape, type(model.shape)()
    if any(getattr(given, key, 0) != getattr(fresh, key, 0) for key in ("hidden_size", "num_layers")):
        if not vocab:
            raise InputError(f"the {where}.* keys do not say the vocabulary; add --vocab N")
        return shape_of_fresh(model, vocab)
    if folder := local_folder(model.name):
        return shape_of_hub(folder / "config.json")
    file = "give --config FILE (its config.json), or " if where == "model" else ""
    raise InputError(
        f"{model.name} is not on this machine, so its shape is not known; {file}--set {where}.hidden_size=... "
        f"{where}.intermediate_size, num_layers, num_heads, num_kv_heads and --vocab"
    )


def shape_of_hub(file: Path) -> Shape:
    """The shape that a hub-format ``config.json`` describes.

    Raises:
        InputError: no such file, not JSON, or no dense decoder of this kind.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a readable config.json ({error})") from None
    needed = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    if missing := [key for key in needed if not isinstance(config.get(key), int)]:
        raise InputError(f"{file} has no {', '.join(missing)}; only decoders with these are understood")
    if any(key in config for key in ("n_routed_experts", "num_experts", "num_local_experts")):
        raise InputError(f"{file} describes a mixture of experts; this version plans dense decoders only")
    heads = config["num_attention_heads"]
    family = str(config.get("model_type", ""))
    return Shape(
        vocab=config["vocab_size"],
        hidden=config["hidden_size"],
        ffn=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=family == "qwen2" or bool(config.get("attention_bias", False)),
        qk_norm=family == "qwen3",
    )
