"""How many tokens a hub model's config gives room for, by whatever name. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["UNBOUNDED", "positions_of", "rope_kinds"]

NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length", "max_sequence_length")
"""What configs call the most tokens of a row."""
UNBOUNDED = 1 << 20
"""Most tokens where a config names no number, as with ALiBi."""


def positions_of(text: Mapping[str, Any]) -> tuple[int, str]:
    """Most tokens of a row, and the kind of rotary embedding that would change beyond them.

    Args:
        text: the config of the language model, whole.
    """
    most = next((text[key] for key in NAMES if isinstance(text.get(key), int)), UNBOUNDED)
    for rope in rope_kinds(text):
        if rope.get("rope_type") in ("longrope", "dynamic"):
            original = rope.get("original_max_position_embeddings") or text.get("original_max_position_embeddings")
            return min(most, original or most), str(rope["rope_type"])
    return most, ""


def rope_kinds(text: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rope parameters of a config: one table, or one for each type of layer."""
    rope = text.get("rope_parameters") or {}
    return [one for one in rope.values() if isinstance(one, dict)] if "rope_type" not in rope else [rope]
