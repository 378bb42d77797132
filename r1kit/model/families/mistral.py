"""Mistral: Llama with a sliding window over every layer."""

from __future__ import annotations

from r1kit.model.families.dense import DenseFamily, one_window

__all__ = ["FAMILY"]

FAMILY = DenseFamily(
    name="mistral", architecture="MistralForCausalLM", own=lambda settings: {"layers": one_window(settings)}
)
