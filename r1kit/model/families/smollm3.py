"""SmolLM3: Llama with layers that do not rotate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.model.families.dense import DenseFamily, Layer

__all__ = ["FAMILY"]


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"layers": tuple(Layer(rope="whole" if turns else "none") for turns in settings["no_rope_layers"])}


def _cannot(settings: Mapping[str, Any]) -> str:
    """``layer_types`` alone decides the mask, ``use_sliding_window`` what is told to a kernel without one."""
    return "some layers have a window" if "sliding_attention" in (settings.get("layer_types") or ()) else ""


FAMILY = DenseFamily(
    name="smollm3",
    architecture="SmolLM3ForCausalLM",
    own=_own,
    cannot=_cannot,
    wanted={"use_sliding_window": False},
)
