"""Rewards of length: Kimi k1.5's (2501.12599, section 2.3.3), the same among right answers alone, and DAPO's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["LengthRule", "length_rewards", "soft_overlong"]

LengthRule = Literal["right", "kimi"]


def length_rewards(lengths: Sequence[int], right: Sequence[bool], rule: LengthRule) -> list[float]:
    """Of each completion of a group, between -0.5 (the longest) and 0.5 (the shortest).

    ``1/2 - (length - shortest) / (longest - shortest)``. ``right``: shortest and longest of the right answers, which
    alone have it; a wrong one gets 0. ``kimi``: shortest and longest of all; a wrong one gets what of it is below 0.
    Where shortest and longest are one, all get 0.

    Args:
        lengths: in tokens.
        right: whether each is.
        rule: among whom lengths are compared.
    """
    compared = [length for length, held in zip(lengths, right, strict=True) if held or rule == "kimi"]
    if not compared or min(compared) == max(compared):
        return [0.0] * len(lengths)
    shortest, longest = min(compared), max(compared)
    rewards = []
    for length, held in zip(lengths, right, strict=True):
        reward = 0.5 - (length - shortest) / (longest - shortest)
        rewards.append(reward if held else min(0.0, reward) if rule == "kimi" else 0.0)
    return rewards


def soft_overlong(length: int, max_length: int, buffer: int) -> float:
    """DAPO's soft punishment of long completions (2503.14476, equation 13), added to the reward: 0 up to
    ``max_length - buffer``, falling linearly to -1 at ``max_length``."""
    start = max_length - buffer
    if length <= start:
        return 0.0
    return max(-1.0, (start - length) / buffer)
