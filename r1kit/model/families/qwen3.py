"""Qwen3, dense: Llama with a norm on each head's queries and keys."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.model.families.dense import DenseFamily, DenseShape, no_window, windows

__all__ = ["FAMILY", "Qwen3Shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen3Shape(DenseShape):
    """A fresh model of this family, as ``[model]`` describes it."""


FAMILY = DenseFamily(
    name="qwen3",
    architecture="Qwen3ForCausalLM",
    shape=Qwen3Shape,
    qk_norm=True,
    own=lambda settings: {"layers": windows(settings)},
    cannot=no_window,
)
