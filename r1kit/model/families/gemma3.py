"""Gemma 3, text: norms on both sides that multiply by 1 + weight, a scaled embedding, and layers with a sliding window
and a rope base of their own among whole ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.model.families.dense import DenseFamily, local_layers, no_window

__all__ = ["FAMILY"]


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    head_dim = settings["head_dim"]
    return {
        "norms": "both",
        "norm_offset": True,
        "activation": "gelu_tanh",
        "embedding_scale": settings["hidden_size"] ** 0.5,
        "query_scale": (settings["query_pre_attn_scalar"] / head_dim) ** -0.5,
        **local_layers(settings),
    }


FAMILY = DenseFamily(
    name="gemma3_text",
    architecture="Gemma3ForCausalLM",
    qk_norm=True,
    own=_own,
    cannot=no_window,
    wanted={
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "use_bidirectional_attention": False,
    },
)
