"""Qwen3, mixture of experts: Qwen3 whose every feed-forward is a choice of experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.model.families.dense import DenseFamily, one_window

__all__ = ["FAMILY"]


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "intermediate_size": settings["moe_intermediate_size"],
        "experts": settings.get("num_local_experts") or settings["num_experts"],
        "experts_per_token": settings["num_experts_per_tok"],
        "renormalise_experts": settings["norm_topk_prob"],
        "layers": one_window(settings),
    }


def _cannot(settings: Mapping[str, Any]) -> str:
    every = not settings.get("mlp_only_layers") and settings.get("decoder_sparse_step", 1) == 1
    return "" if every else "some layers have no experts"


FAMILY = DenseFamily(name="qwen3_moe", architecture="Qwen3MoeForCausalLM", qk_norm=True, own=_own, cannot=_cannot)
