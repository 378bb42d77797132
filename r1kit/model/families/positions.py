"""How long a row a hub config allows, and what its rotary frequencies do on the way. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from r1kit.errors import InputError

__all__ = ["Positions", "positions_of", "refuse_longer", "rope_kinds"]

NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")
"""What configs call the most tokens of a row."""
UNBOUNDED = 1 << 20
"""Most tokens where a config names no number."""


class Positions(NamedTuple):
    most: int
    """Tokens of a row; where rotary frequencies change with its length (LongRoPE, dynamic NTK), up to that length."""
    lengthens: str
    """The kind of such a rope; empty where frequencies never change."""


def positions_of(settings: Mapping[str, Any]) -> Positions:
    """Read off a hub config (as a mapping) of a language model."""
    most = next((settings[name] for name in NAMES if isinstance(settings.get(name), int)), UNBOUNDED)
    for rope in rope_kinds(settings):
        if rope.get("rope_type") in ("longrope", "dynamic"):
            original = rope.get("original_max_position_embeddings") or settings.get("original_max_position_embeddings")
            return Positions(min(most, original or most), rope["rope_type"])
    return Positions(most, "")


def rope_kinds(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rope parameters: one table, or one for each type of layer, whole attention first."""
    rope = settings.get("rope_parameters") or {}
    if "rope_type" in rope or "rope_theta" in rope:
        return [dict(rope)]
    named = sorted(rope.items(), key=lambda item: item[0] != "full_attention")
    return [dict(one) for _, one in named if isinstance(one, Mapping)]


def refuse_longer(family: str, positions: Positions, longest: int) -> None:
    """InputError where a row of this many tokens would change its own frequencies."""
    if positions.lengthens and longest > positions.most:
        raise InputError(
            f"{family}: {positions.lengthens} changes its frequencies for rows of more than {positions.most} tokens, "
            f"so a token's log-prob would depend on what comes after it; keep a prompt and its completion within "
            f"{positions.most} tokens"
        )
