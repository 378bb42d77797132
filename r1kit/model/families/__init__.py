"""Families of language models, one file a family: the shape of a fresh one, and how the hub writes it down.

The table holds strings, so that a recipe is checked without torch. What no family computes exactly is run by
`transformers` itself, the last entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from r1kit.errors import InputError, nearest

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from r1kit.model.language_model import LanguageModel

__all__ = ["FAMILIES", "FRESH", "Family", "Shape", "family", "family_of", "fresh_family", "unsupported"]

FAMILIES: Mapping[str, str] = {
    "llama": "r1kit.model.families.llama:FAMILY",
    "qwen2": "r1kit.model.families.qwen2:FAMILY",
    "qwen3": "r1kit.model.families.qwen3:FAMILY",
    "qwen3_moe": "r1kit.model.families.qwen3_moe:FAMILY",
    "mistral": "r1kit.model.families.mistral:FAMILY",
    "gemma3_text": "r1kit.model.families.gemma3:FAMILY",
    "phi3": "r1kit.model.families.phi3:FAMILY",
    "olmo2": "r1kit.model.families.olmo2:FAMILY",
    "olmo3": "r1kit.model.families.olmo3:FAMILY",
    "deepseek_v3": "r1kit.model.families.deepseek_v3:FAMILY",
    "smollm3": "r1kit.model.families.smollm3:FAMILY",
    "transformers": "r1kit.model.families.fallback:FAMILY",
}
"""The hub's model type -> ``module:NAME`` of a ``Family``; ``transformers`` runs what no other can."""
FRESH = ("llama", "qwen2", "qwen3", "deepseek_v3")
"""Families of which a fresh model can be drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What ``[model]`` says of any fresh model; a family's own shape has more."""

    max_positions: int = 512
    """Most tokens of a prompt and its completion."""


class Family(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> type[Shape]:
        """Class of the settings that ``[model]`` takes."""
        ...

    def unsupported(self, config: PretrainedConfig) -> str:
        """Why this family cannot compute a hub model exactly; empty where it can."""
        ...

    def fresh(self, shape: Any, vocab_size: int) -> LanguageModel:
        """A model of a shape whose weights are not drawn yet."""
        ...

    def load(self, folder: Path, config: PretrainedConfig, dtype: torch.dtype, empty: bool = False) -> LanguageModel:
        """The model in a hub-format folder, in ``dtype``, on the CPU.

        ``empty``: a family that can gives it on the ``meta`` device, its numbers still to be read.
        """
        ...


def family(name: str) -> Family:
    """A family by its name in the table."""
    module, _, attribute = FAMILIES[name].partition(":")
    found: Family = getattr(import_module(module), attribute)
    return found


def fresh_family(name: str, where: str) -> Family:
    """A family of which a fresh model can be drawn.

    Raises:
        InputError: there is none of that name.
    """
    if name not in FRESH:
        raise InputError(f"{where}.family = {name!r}: families are {', '.join(FRESH)}.{nearest(name, FRESH)}")
    return family(name)


def family_of(config: PretrainedConfig) -> Family:
    """The family that computes a hub model exactly: the one of its model type, else the last."""
    return family(config.model_type if not unsupported(config) else "transformers")


def unsupported(config: PretrainedConfig) -> str:
    """Why no built-in family computes a hub model exactly; empty where one does."""
    built_in = [name for name in FAMILIES if name != "transformers"]
    if config.model_type not in built_in:
        return f"model type {config.model_type!r} is not one of {', '.join(built_in)}"
    return family(config.model_type).unsupported(config)
