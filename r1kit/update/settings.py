"""Settings of the optimiser as recipes hold them. No torch here."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from r1kit.errors import InputError, MissingError, nearest

__all__ = ["Dtype", "DtypeSetting", "ExpertSettings", "LoRA", "OptimiserSettings", "settled"]

Dtype = Literal["float32", "bfloat16"]
DtypeSetting = Literal["auto", "float32", "bfloat16"]
"""``auto``: bfloat16 where the device multiplies it in hardware, else float32 (``backends.arithmetic``)."""

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    kind: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    """``adamw8bit``: AdamW whose state is kept in 8 bits, by torchao. ``muon``: the hidden matrices by Muon, embedding,
    head and vectors by AdamW."""
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
    keep_mtp: float = 0.0
    """In SFT and RL, of a model that predicts a token further: weight of that layer's own loss on the responses, from
    which it alone learns, so that its drafts go on hitting what the policy has become; 0: it stays as it is."""

    def __post_init__(self) -> None:
        for name in ("weight_decay", "muon_weight_decay", "max_grad_norm", "keep_mtp"):
            if not getattr(self, name) >= 0:
                raise InputError(f"optimiser.{name} = {getattr(self, name)} must not be negative")
        for name in ("eps", "muon_lr_ratio"):
            if not getattr(self, name) > 0:
                raise InputError(f"optimiser.{name} = {getattr(self, name)} must be above 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in (*self.betas, self.muon_momentum)):
            raise InputError(
                f"optimiser.betas = {list(self.betas)}, muon_momentum = {self.muon_momentum}: two numbers and one, "
                f"each from 0 to below 1"
            )

    def check(self, stage: str, learner: str) -> None:
        """Whether it can be had, before anything loads.

        Raises:
            InputError: a learner that has no such optimiser.
            MissingError: torchao is not installed.
        """
        if self.kind != "adamw8bit":
            return
        where = f'stages.{stage}.optimiser.kind = "adamw8bit"'
        if learner not in ("auto", "local"):
            raise InputError(f'{where} is the local learner\'s, not "{learner}"\'s; take "adamw", or learner = "local"')
        if importlib.util.find_spec("torchao") is None:
            raise MissingError(f"{where} needs torchao: pip install 'r1kit[torchao]'")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoRA:
    """Of a stage: what is trained is a product of two narrow matrices beside each chosen one, ``y = W x + s B A x``, W
    as it was (2106.09685, section 4.1)."""

    rank: int = 0
    """Rows of A and columns of B; 0: no adapter, every weight is trained."""
    alpha: float = 0.0
    """s is alpha / rank; 0: twice the rank, so that s is 2."""
    targets: tuple[str, ...] = ()
    """Linear layers by the end of their hub names, ``q_proj`` say; empty: every one inside a layer of the model, never
    the embedding, the head, a router or experts."""
    dropout: float = 0.0
    """Share of A's inputs that are left out while learning; for SFT alone, since RL learns from the very policy that
    sampled."""

    @property
    def scale(self) -> float:
        """s"""
        return (self.alpha or 2.0 * self.rank) / max(1, self.rank)

    def check(self, stage: str, learner: str, *, sampled: bool = False) -> None:
        """Ranges, before anything loads.

        Args:
            stage: for the message.
            learner: the recipe's kind.
            sampled: the stage learns from what its policy sampled.

        Raises:
            InputError: a number out of range, or a learner that trains no adapters.
            MissingError: peft is not installed.
        """
        if self == LoRA():
            return
        where = f"stages.{stage}.lora"
        if self.rank < 1:
            raise InputError(f"{where}.rank = {self.rank}: must be at least 1; drop the table to train every weight")
        if not 0 <= self.alpha < math.inf:
            raise InputError(f"{where}.alpha = {self.alpha}: must not be negative")
        if not 0 <= self.dropout < 1:
            raise InputError(f"{where}.dropout = {self.dropout}: must be at least 0 and below 1")
        if sampled and self.dropout:
            raise InputError(
                f"{where}.dropout = {self.dropout}: must be 0 in RL, or what learns were not the policy that sampled"
            )
        if learner not in ("auto", "local"):
            raise InputError(
                f'{where}: learner = "{learner}" trains every weight; take learner = "local", or drop the table'
            )
        if importlib.util.find_spec("peft") is None:
            raise MissingError(f"{where} needs peft: pip install 'r1kit[peft]'")

    def chosen(self, matrices: Mapping[str, tuple[int, ...]], where: str) -> list[str]:
        """Those of a model's linear layers, hub name -> [out, in], that get an adapter.

        Raises:
            InputError: a target that is none of them, or a rank above the smaller side of all.
        """
        ends = sorted({name.rpartition(".")[2] for name in matrices})
        for target in self.targets:
            if not any(_ends_in(name, target) for name in matrices):
                raise InputError(
                    f"{where}.targets names {target!r}; the model's linear layers are {', '.join(ends) or 'none'}."
                    f"{nearest(target, ends)}"
                )
        found = [name for name in matrices if not self.targets or any(_ends_in(name, one) for one in self.targets)]
        if not found:
            raise InputError(f"{where}: the model has no linear layer that an adapter fits; drop the table")
        most = max(min(matrices[name]) for name in found)
        if self.rank > most:
            raise InputError(
                f"{where}.rank = {self.rank} is above the smaller side of every target ({most} at the most), where it "
                f"would have more weights than what it adapts; lower it"
            )
        return found


def _ends_in(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


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
