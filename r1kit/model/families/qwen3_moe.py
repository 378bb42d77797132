"""Qwen3, mixture of experts: Qwen3 whose every feed-forward is a choice of experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.model.families.dense import DenseFamily, windows

__all__ = ["FAMILY"]


def _own(settings: Mapping[str, Any]) -> dict[str, Any] | str:
    if settings.get("mlp_only_layers") or settings.get("decoder_sparse_step", 1) != 1:
        return "some layers have no experts"
    return {
        "intermediate_size": settings["moe_intermediate_size"],
        "experts": settings["num_local_experts"],
        "experts_per_token": settings["num_experts_per_tok"],
        "renormalise_experts": settings["norm_topk_prob"],
        "layers": windows(settings),
    }


FAMILY = DenseFamily(name="qwen3_moe", architecture="Qwen3MoeForCausalLM", qk_norm=True, own=_own)
