"""OLMo 3: OLMo 2 with a sliding window over most layers, whose rope is never scaled."""

from __future__ import annotations

from r1kit.model.families.dense import DenseFamily, local_layers, no_window

__all__ = ["FAMILY"]

FAMILY = DenseFamily(
    name="olmo3",
    architecture="Olmo3ForCausalLM",
    qk_norm=True,
    own=lambda settings: {"norms": "after", "wide_qk_norm": True, **local_layers(settings)},
    cannot=no_window,
)
