"""What the Llama, Qwen2 and Qwen3 families have in common: the shape of a dense decoder and its hub config. No torch.

Only what ``model.decoder`` computes exactly is taken; ``unsupported`` says what is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1kit.errors import InputError
from r1kit.model.families import Shape

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

__all__ = ["DecoderConfig", "DenseFamily", "DenseShape"]

STATIC_ROPE = ("default", "linear", "llama3", "yarn")
"""Rope types whose frequencies do not depend on the length of the sequence."""
DECODER = "r1kit.model.decoder"
"""Imported when a model is made, since it brings torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseShape(Shape):
    """A fresh dense decoder, as ``[model]`` describes it; the default is the nano world's."""

    hidden_size: int = 96
    intermediate_size: int = 256
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 4
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        names = ("hidden_size", "intermediate_size", "num_layers", "num_heads", "num_kv_heads", "max_positions")
        for name, value in ((name, getattr(self, name)) for name in names):
            if value < 1:
                raise InputError(f"model.{name} = {value}: must be at least 1")
        if self.hidden_size % self.num_heads or self.num_heads % self.num_kv_heads:
            raise InputError(
                f"model: num_heads = {self.num_heads} must divide hidden_size = {self.hidden_size} and be a multiple "
                f"of num_kv_heads = {self.num_kv_heads}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """All that ``model.decoder.Decoder`` must know."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseFamily:
    """See ``families.Family``. The hub's model type is the family's name."""

    name: str
    architecture: str
    """The hub class that a checkpoint opens with."""
    shape: type[DenseShape]
    qkv_bias: bool = False
    qk_norm: bool = False

    def unsupported(self, config: PretrainedConfig) -> str:
        """Why the decoder cannot compute this model exactly; empty where it can."""
        if config.model_type != self.name:
            return f"model type {config.model_type!r} is not {self.name}"
        if config.architectures and config.architectures[0] != self.architecture:
            return f"its class is {config.architectures[0]}, not {self.architecture}"
        settings, rope = config.to_dict(), dict(config.rope_parameters)
        wanted = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "quantization_config": None}
        for key, value in wanted.items():
            if settings.get(key, value) != value:
                return f"{key} is {settings[key]!r}"
        if any(kind != "full_attention" for kind in settings.get("layer_types") or ()):
            return "some layers attend through a sliding window"
        if rope.get("rope_type", "default") not in STATIC_ROPE:
            return f"rope type {rope['rope_type']!r} is not one of {', '.join(STATIC_ROPE)}"
        if (rope.get("partial_rotary_factor") or 1.0) != 1.0:
            return f"partial_rotary_factor is {rope['partial_rotary_factor']}"
        return ""

    def from_shape(self, shape: DenseShape, vocab_size: int) -> DecoderConfig:
        """The decoder's settings for a fresh model."""
        return DecoderConfig(
            family=self.name,
            vocab_size=vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.hidden_size // shape.num_heads,
            max_positions=shape.max_positions,
            tie_embeddings=shape.tie_embeddings,
            qkv_bias=self.qkv_bias,
            qk_norm=self.qk_norm,
        )

    def from_hub(self, config: PretrainedConfig) -> DecoderConfig:
        """The decoder's settings for a hub config; InputError where the decoder would not compute the same thing."""
        if reason := self.unsupported(config):
            raise InputError(f"the built-in decoder cannot run this model: {reason}")
        rope = {key: value for key, value in config.rope_parameters.items() if value is not None and key != "type"}
        kind, theta = rope.get("rope_type", "default"), rope.pop("rope_theta")
        return DecoderConfig(
            family=self.name,
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_layers=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=config.to_dict().get("head_dim") or config.hidden_size // config.num_attention_heads,
            rope_theta=float(theta),
            rope_scaling={} if kind == "default" else rope,
            rms_norm_eps=config.rms_norm_eps,
            tie_embeddings=config.tie_word_embeddings,
            qkv_bias=self.qkv_bias,
            qk_norm=self.qk_norm,
            max_positions=config.max_position_embeddings,
        )

    def to_hub(self, config: DecoderConfig) -> PretrainedConfig:
        """The hub config with which `transformers` builds the same model."""
        from transformers import AutoConfig

        assert config.qkv_bias == self.qkv_bias, f"{self.name} has no switch for the QKV bias"
        assert config.qk_norm == self.qk_norm, f"{self.name} has no switch for the QK norm"
        return AutoConfig.for_model(
            self.name,
            architectures=[self.architecture],
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            rope_parameters={"rope_type": "default", **config.rope_scaling, "rope_theta": config.rope_theta},
            rms_norm_eps=config.rms_norm_eps,
            tie_word_embeddings=config.tie_embeddings,
            max_position_embeddings=config.max_positions,
        )

    def fresh(self, shape: Any, vocab_size: int) -> Any:
        """A decoder of a shape; ``Decoder.initialise`` draws its weights."""
        return import_module(DECODER).Decoder(self.from_shape(shape, vocab_size))

    def load(self, folder: Path, config: PretrainedConfig, dtype: torch.dtype) -> Any:
        """The decoder with the weights of a hub-format folder."""
        return import_module(DECODER).load_decoder(folder, self.from_hub(config), dtype)
