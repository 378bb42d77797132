"""OLMo 2: norms after attention and feed-forward instead of before, and norms over all queries and over all keys."""

from __future__ import annotations

from r1kit.model.families.dense import DenseFamily

__all__ = ["FAMILY"]

FAMILY = DenseFamily(
    name="olmo2",
    architecture="Olmo2ForCausalLM",
    qk_norm=True,
    own=lambda settings: {"norms": "after", "wide_qk_norm": True},
)
