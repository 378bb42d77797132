"""How many tokens a hub model's config gives room for, by whatever name. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["UNBOUNDED", "positions_of"]

NAMES = (
    "max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length", "max_sequence_length",
)  # fmt: skip
"""What families call it: most; GPT-2 and GPT-J; MPT; older GPTs; Bloom and ChatGLM; others."""
UNBOUNDED = 1 << 20
"""Where a config names none: positions are relative (ALiBi, as in Bloom), and memory is the limit."""


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Most tokens of a prompt and its completion; None where a config does not bound them."""
    found = (config.get(name) for name in NAMES)
    return next((value for value in found if isinstance(value, int) and value > 0), None)
