"""Phi-3 to Phi-4-mini: Llama whose fused matrices are the hub's own, with a sliding window or LongRoPE."""

from __future__ import annotations

from r1kit.model.families.dense import DenseFamily, one_window

__all__ = ["FAMILY"]

FAMILY = DenseFamily(
    name="phi3",
    architecture="Phi3ForCausalLM",
    own=lambda settings: {"layers": one_window(settings), "fused_names": True},
)
