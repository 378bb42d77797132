"""Settings of the optimiser as recipes hold them. No torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from r1kit.errors import InputError

__all__ = ["Dtype", "DtypeSetting", "ExpertSettings", "OptimiserSettings", "settled"]

Dtype = Literal["float32", "bfloat16"]
DtypeSetting = Literal["auto", "float32", "bfloat16"]
"""``auto``: bfloat16 where the device multiplies it in hardware, else float32 (``backends.arithmetic``)."""

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    kind: Literal["adamw", "muon"] = "adamw"
    """``muon``: the hidden matrices by Muon, embedding, head and vectors by AdamW."""
    lr: float = 3e-4
    """Peak rate of AdamW."""
    betas: tuple[float, ...] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    """AdamW's, on matrices and embeddings; vectors are never decayed."""
    muon_lr_ratio: float = 10.0
    """Muon's rate is this times AdamW's."""
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.0
    muon_dtype: DtypeSetting = "auto"
    """Of the products that orthogonalise Muon's step."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm, over all weights; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertSettings:
    """How tokens are kept from all choosing the same experts, where a model chooses with a bias (DeepSeek-V3)."""

    bias_speed: float = 0.0
    """What an update adds to the bias of an expert that fewer tokens chose than the mean, and takes from that of one
    that more did (2408.15664); 0: the biases stay."""
    balance: float = 0.0
    """Weight of the sequence-wise balance loss."""

    def __post_init__(self) -> None:
        if min(self.bias_speed, self.balance) < 0:
            raise InputError(
                f"experts: bias_speed = {self.bias_speed} and balance = {self.balance} must not be negative"
            )


def settled(settings: Settings, dtype: DtypeSetting) -> Settings:
    """Settings with ``dtype`` wherever one of theirs, at any depth, is left to ``auto``; the same object if none is."""
    return cast(Settings, _settled(settings, dtype))


def _settled(value: Any, dtype: DtypeSetting) -> Any:
    if isinstance(value, Mapping):
        inner = {key: _settled(item, dtype) for key, item in value.items()}
        return inner if any(inner[key] is not value[key] for key in value) else value
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        own = field.name == "dtype" or field.name.endswith("_dtype")
        new = dtype if own and held == "auto" else _settled(held, dtype)
        if field.init and new is not held and new != held:
            changed[field.name] = new
    return dataclasses.replace(value, **changed) if changed else value
