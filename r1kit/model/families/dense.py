"""What the built-in families have in common: a decoder's settings, and how they are read off a hub config. No torch.

Only what ``model.decoder`` computes exactly is taken; ``unsupported`` says what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from r1kit.checkpoint.context import positions_of, rope_kinds
from r1kit.errors import InputError
from r1kit.model.families import Shape

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

__all__ = [
    "DecoderConfig",
    "DenseFamily",
    "DenseShape",
    "Latent",
    "Layer",
    "Routing",
    "local_layers",
    "no_window",
    "one_window",
    "windows",
]

ROPE = ("default", "linear", "llama3", "yarn", "dynamic", "longrope")
"""Rope types that are computed; the last two up to the length where they would change."""
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
class Layer:
    """How one layer attends."""

    window: int = 0
    """Tokens that it sees, its own the last; 0: all before it."""
    rope: Literal["whole", "local", "none"] = "whole"
    """``local``: by ``local_theta``; ``none``: queries and keys are not rotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, 2405.04434, section 2.1): of a token's keys and values one compressed
    vector is kept, and one rotated key that all heads share."""

    query: int
    """Numbers of the compressed queries; 0: they come straight from the hidden state."""
    kept: int
    """Of the compressed keys and values."""
    plain: int
    """Of a head's query and key that are not rotated."""
    rotary: int
    """That are."""
    value: int
    """Of a head's value."""
    interleaved: bool = True
    """Rotary pairs are neighbours in the weights, not one in each half."""
    scale: float = 1.0
    """Of scores, on top of ``(plain + rotary) ** -0.5``: YaRN's."""

    @property
    def size(self) -> int:
        """D of heads that hold queries and keys, or values, with zeros behind the shorter ones."""
        return max(self.plain + self.rotary, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """DeepSeek-V3's mixture (2412.19437, section 2.1.2): experts that all tokens share beside the chosen ones, which
    are chosen by a sigmoid and a bias of their own and weighted without the bias."""

    dense_layers: int
    """The first layers, which have a feed-forward of ``dense_size``."""
    dense_size: int
    shared: int
    """Width of what every token goes through besides."""
    groups: int = 1
    """Of experts side by side; a token chooses within ``kept_groups`` of them, by the sum of each group's two best."""
    kept_groups: int = 1
    scale: float = 1.0
    """On the chosen experts' weights, at last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """All that ``model.decoder.Decoder`` must know; the defaults are Llama's."""

    family: str = "llama"
    """The hub's model type."""
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    """Of one expert where there are several."""
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
    wide_qk_norm: bool = False
    """Queries, and keys, are normalised over all heads together (OLMo 2) and not head by head."""
    max_positions: int = 4096
    lengthens: str = ""
    """A kind of rope that would change its frequencies beyond ``max_positions``: longer rows are refused."""
    layers: tuple[Layer, ...] = ()
    """[num_layers]; empty: all of them whole."""
    local_theta: float = 10000.0
    """Rope theta of local layers, unscaled."""
    norms: Literal["before", "after", "both"] = "before"
    """Where a block's norms are: before attention and feed-forward, after them (OLMo 2), or both (Gemma 3)."""
    norm_offset: bool = False
    """Norms multiply by 1 + weight (Gemma)."""
    activation: Literal["silu", "gelu_tanh"] = "silu"
    embedding_scale: float = 1.0
    query_scale: float = 1.0
    """On top of ``head_dim ** -0.5``; with a norm on queries only."""
    experts: int = 0
    """0: one feed-forward a layer."""
    experts_per_token: int = 0
    renormalise_experts: bool = False
    """The chosen experts' weights are made to sum to 1."""
    routing: Routing | None = None
    """None: softmax over all experts, in every layer (Qwen3)."""
    latent: Latent | None = None
    """None: a query, a key and a value a head; else heads are as many for keys as for queries, of size ``size``."""
    ahead: int = 0
    """1: a block after the last one predicts a token further (multi-token prediction)."""
    fused_names: bool = False
    """The hub too has q, k, v and gate, up in one matrix each (Phi-3)."""

    @property
    def rotary_size(self) -> int:
        """Numbers of a head that are rotated."""
        return self.latent.rotary if self.latent else self.head_dim

    @property
    def layer_list(self) -> tuple[Layer, ...]:
        """[num_layers]"""
        return self.layers or (Layer(),) * self.num_layers


Own = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From a hub config as a mapping, defaults filled in: what a family sets in ``DecoderConfig``."""


def _nothing(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def local_layers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What to set where layers with a window have a rope of their own."""
    rope = settings["rope_parameters"].get("sliding_attention") or {}
    return {"layers": windows(settings, local=True), "local_theta": float(rope.get("rope_theta", 10000.0))}


def windows(settings: Mapping[str, Any], local: bool = False) -> tuple[Layer, ...]:
    """Layers by ``layer_types``; those with a window have the local rope if so."""
    near = Layer(window=settings.get("sliding_window") or 0, rope="local" if local else "whole")
    return tuple(near if kind == "sliding_attention" else Layer() for kind in settings["layer_types"])


def one_window(settings: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Every layer with ``sliding_window``, where there is one; ``layer_types`` says nothing."""
    count: int = settings["num_hidden_layers"]
    return (Layer(window=settings.get("sliding_window") or 0),) * count


def no_window(settings: Mapping[str, Any]) -> str:
    """Why layers by ``layer_types`` cannot be computed: some want a window and its size is not told."""
    if settings.get("sliding_window") or "sliding_attention" not in (settings.get("layer_types") or ()):
        return ""
    return "some layers are 'sliding_attention' and there is no sliding_window"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseFamily:
    """See ``families.Family``. The hub's model type is the family's name."""

    name: str
    architecture: str
    """The hub class that a checkpoint opens with."""
    shape: type[DenseShape] = DenseShape
    qkv_bias: bool = False
    qk_norm: bool = False
    own: Own = _nothing
    """What is different from Llama in it."""
    cannot: Callable[[Mapping[str, Any]], str] = lambda settings: ""
    """Why a config as it is written, defaults left out, cannot be computed; empty where it can."""
    wanted: Mapping[str, Any] = field(default_factory=dict)
    """Config keys that must have these values, where they are there; besides those of all families."""

    def unsupported(self, config: PretrainedConfig) -> str:
        """Why the decoder cannot compute this model exactly; empty where it can."""
        if config.model_type != self.name:
            return f"model type {config.model_type!r} is not {self.name}"
        if config.architectures and config.architectures[0] != self.architecture:
            return f"its class is {config.architectures[0]}, not {self.architecture}"
        settings = config.to_dict()
        wanted = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "quantization_config": None}
        for key, value in {**wanted, **self.wanted}.items():
            if settings.get(key, value) != value:
                return f"{key} is {settings[key]!r}"
        if strange := set(settings.get("layer_types") or ()) - {"full_attention", "sliding_attention"}:
            return f"some layers are {min(strange)!r}"
        for index, rope in enumerate(rope_kinds(settings)):
            kinds = ROPE[:1] if index else ROPE  # local layers' is never scaled
            if rope.get("rope_type", "default") not in kinds:
                return f"rope type {rope['rope_type']!r} is not one of {', '.join(kinds)}"
            if (rope.get("partial_rotary_factor") or 1.0) != 1.0:
                return f"partial_rotary_factor is {rope['partial_rotary_factor']}"
        return self.cannot(settings)

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
        settings = config.to_dict()
        found = rope_kinds(settings)[0]
        rope = {key: value for key, value in found.items() if value is not None and key != "type"}
        kind, theta = rope.get("rope_type", "default"), rope.pop("rope_theta")
        positions, lengthens = positions_of(settings)
        if kind == "longrope":
            rope.setdefault("factor", config.max_position_embeddings / positions)
        shared: dict[str, Any] = {
            "family": self.name,
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_layers": config.num_hidden_layers,
            "num_heads": config.num_attention_heads,
            "num_kv_heads": config.num_key_value_heads,
            "head_dim": settings.get("head_dim") or config.hidden_size // config.num_attention_heads,
            "rope_theta": float(theta),
            "rope_scaling": {} if kind == "default" else rope,
            "rms_norm_eps": config.rms_norm_eps,
            "tie_embeddings": config.tie_word_embeddings,
            "qkv_bias": self.qkv_bias,
            "qk_norm": self.qk_norm,
            "max_positions": positions,
            "lengthens": lengthens,
        }
        return DecoderConfig(**(shared | self.own(settings)))

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

    def load(self, folder: Path, config: PretrainedConfig, dtype: torch.dtype, empty: bool = False) -> Any:
        """See ``Family.load``."""
        return import_module(DECODER).load_decoder(folder, self.from_hub(config), dtype, config, empty)
