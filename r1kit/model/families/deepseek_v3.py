"""DeepSeek-V3: latent attention, a mixture of experts with a bias for the choice, and a layer that predicts a token
further (2412.19437)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1kit.checkpoint.headers import read_headers
from r1kit.errors import InputError
from r1kit.model.families import Shape
from r1kit.model.families.dense import DECODER, DecoderConfig, DenseFamily, Latent, Routing

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

__all__ = ["FAMILY", "DeepseekShape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepseekShape(Shape):
    """A fresh model, as ``[model]`` describes it; keys are the hub's where this family alone has them."""

    hidden_size: int = 96
    intermediate_size: int = 256
    """Of the first layers, which have no experts."""
    num_layers: int = 3
    num_heads: int = 4
    q_lora_rank: int = 0
    """Numbers of the compressed queries; 0: they are not compressed."""
    kv_lora_rank: int = 32
    """Of the compressed keys and values."""
    qk_nope_head_dim: int = 16
    """Of a head's query and key that are not rotated."""
    qk_rope_head_dim: int = 8
    """That are; one key of them for all heads."""
    v_head_dim: int = 24
    n_routed_experts: int = 8
    num_experts_per_tok: int = 2
    moe_intermediate_size: int = 64
    """Of one expert."""
    n_shared_experts: int = 1
    first_k_dense_replace: int = 1
    """Layers without experts."""
    n_group: int = 1
    topk_group: int = 1
    routed_scaling_factor: float = 1.0
    mtp_layers: int = 0
    """1: a further layer learns to predict a token further."""
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        free = ("q_lora_rank", "first_k_dense_replace", "mtp_layers")
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in free else 1
            if field.type == "int" and value < least:
                raise InputError(f"model.{field.name} = {value}: must be at least {least}")
        if self.qk_rope_head_dim % 2:
            raise InputError(f"model.qk_rope_head_dim = {self.qk_rope_head_dim}: must be even")
        if self.mtp_layers > 1:
            raise InputError(f"model.mtp_layers = {self.mtp_layers}: one token further at most; write 0 or 1")
        E, groups = self.n_routed_experts, self.n_group
        if E % groups or self.topk_group > groups or (groups > 1 and E // groups < 2):
            raise InputError(
                f"model: n_group = {groups} must divide n_routed_experts = {E} into groups of at least 2, and "
                f"topk_group = {self.topk_group} must not be more than n_group"
            )
        if self.num_experts_per_tok > E // groups * self.topk_group:
            raise InputError(
                f"model.num_experts_per_tok = {self.num_experts_per_tok}: a token chooses among "
                f"{E // groups * self.topk_group} experts"
            )


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    rope = settings.get("rope_parameters") or {}
    plain, rotary = settings["qk_nope_head_dim"], settings["qk_rope_head_dim"]
    latent = Latent(
        query=settings.get("q_lora_rank") or 0,
        kept=settings["kv_lora_rank"],
        plain=plain,
        rotary=rotary,
        value=settings["v_head_dim"],
        interleaved=settings.get("rope_interleave", True),
        scale=_sharpened(rope),
    )
    groups = settings.get("n_group") or 1
    return {
        "num_kv_heads": settings["num_attention_heads"],
        "head_dim": latent.size,
        "latent": latent,
        "intermediate_size": settings["moe_intermediate_size"],
        "experts": settings["n_routed_experts"],
        "experts_per_token": settings["num_experts_per_tok"],
        "renormalise_experts": settings["norm_topk_prob"],
        "routing": Routing(
            dense_layers=settings["first_k_dense_replace"],
            dense_size=settings["intermediate_size"],
            shared=settings["moe_intermediate_size"] * settings["n_shared_experts"],
            groups=groups,
            kept_groups=settings.get("topk_group") or 1,
            scale=settings["routed_scaling_factor"],
        ),
    }


def _sharpened(rope: Mapping[str, Any]) -> float:
    """What YaRN multiplies scores by (2309.00071, section 3.4), where the config asks for all of a head."""
    factor, all_of = rope.get("factor", 1.0), rope.get("mscale_all_dim", 0)
    if rope.get("rope_type", "default") == "default" or not all_of or factor <= 1:
        return 1.0
    return float((0.1 * all_of * math.log(factor) + 1) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepseekFamily(DenseFamily):
    """See ``families.Family``."""

    shape: type[Any] = DeepseekShape

    def from_shape(self, shape: Any, vocab_size: int) -> DecoderConfig:
        """The decoder's settings for a fresh model."""
        own = {field.name: getattr(shape, field.name) for field in fields(shape)}
        settings = own | {"num_attention_heads": shape.num_heads, "norm_topk_prob": True}
        return DecoderConfig(
            family=self.name,
            vocab_size=vocab_size,
            hidden_size=shape.hidden_size,
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            max_positions=shape.max_positions,
            tie_embeddings=shape.tie_embeddings,
            ahead=shape.mtp_layers,
            **_own(settings),
        )

    def to_hub(self, config: DecoderConfig) -> PretrainedConfig:
        """The hub config with which `transformers` builds the same model."""
        from transformers import AutoConfig

        latent, routing = config.latent, config.routing
        assert latent is not None
        assert routing is not None
        return AutoConfig.for_model(
            self.name,
            architectures=[self.architecture],
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=routing.dense_size,
            moe_intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_heads,
            n_shared_experts=routing.shared // config.intermediate_size,
            n_routed_experts=config.experts,
            num_experts_per_tok=config.experts_per_token,
            norm_topk_prob=config.renormalise_experts,
            routed_scaling_factor=routing.scale,
            n_group=routing.groups,
            topk_group=routing.kept_groups,
            first_k_dense_replace=routing.dense_layers,
            q_lora_rank=latent.query or None,
            kv_lora_rank=latent.kept,
            qk_nope_head_dim=latent.plain,
            qk_rope_head_dim=latent.rotary,
            v_head_dim=latent.value,
            rope_interleave=latent.interleaved,
            rope_parameters={"rope_type": "default", **config.rope_scaling, "rope_theta": config.rope_theta},
            rms_norm_eps=config.rms_norm_eps,
            tie_word_embeddings=config.tie_embeddings,
            max_position_embeddings=config.max_positions,
            num_nextn_predict_layers=config.ahead,
        )

    def load(self, folder: Path, config: PretrainedConfig, dtype: torch.dtype, empty: bool = False) -> Any:
        """See ``Family.load``. Whether a token further is predicted the weights say: many a config promises it."""
        found = self.from_hub(config)
        last = f"model.layers.{found.num_layers}."
        ahead = any(name.startswith(last) for name in read_headers(folder))
        return import_module(DECODER).load_decoder(folder, replace(found, ahead=int(ahead)), dtype, config, empty)


def _cannot(settings: Mapping[str, Any]) -> str:
    further = settings.get("num_nextn_predict_layers", settings.get("num_mtp_layers")) or 0
    if further > 1:
        return f"it predicts {further} tokens further"
    if settings["num_attention_heads"] != settings.get("num_key_value_heads", settings["num_attention_heads"]):
        return "it has fewer key-value heads than heads"
    return "" if settings["n_shared_experts"] else "it has no shared experts"


FAMILY = DeepseekFamily(name="deepseek_v3", architecture="DeepseekV3ForCausalLM", own=_own, cannot=_cannot)
