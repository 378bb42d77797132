"""Qwen2 and Qwen2.5: Llama with a bias on queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.model.families.dense import DenseFamily, DenseShape, no_window, windows

__all__ = ["FAMILY", "Qwen2Shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen2Shape(DenseShape):
    """A fresh model of this family, as ``[model]`` describes it."""


FAMILY = DenseFamily(
    name="qwen2",
    architecture="Qwen2ForCausalLM",
    shape=Qwen2Shape,
    qkv_bias=True,
    own=lambda settings: {"layers": windows(settings)},
    cannot=no_window,
)
