"""DAPO's soft punishment of long completions (2503.14476, equation 13)."""

from __future__ import annotations

__all__ = ["soft_overlong"]


def soft_overlong(length: int, max_length: int, buffer: int) -> float:
    """Added to the reward: 0 up to ``max_length - buffer``, falling linearly to -1 at ``max_length``."""
    start = max_length - buffer
    if length <= start:
        return 0.0
    return max(-1.0, (start - length) / buffer)
