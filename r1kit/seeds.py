"""Random numbers of items that are numbered and not drawn one after the other: no torch, the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from random import Random

__all__ = ["SEED_STRIDE", "place_in_epochs", "shuffled", "stream", "training_index"]

SEED_STRIDE = 1_000_003
"""Training prompts between the first of a seed's and the first of the next seed's."""


def training_index(seed: int, number: int) -> int:
    """Which of a task's endless training prompts is a run's number ``number``, from 0."""
    return seed * SEED_STRIDE + number


def stream(seed: int, name: str, index: int) -> Random:
    """The random numbers of item ``index`` of a named stream; streams of different names or seeds are unrelated."""
    key = hashlib.blake2b(f"{name}/{seed}".encode(), digest_size=8).digest()
    return Random((int.from_bytes(key, "big") << 64) | index)


@lru_cache(maxsize=8)
def shuffled(count: int, seed: int) -> Sequence[int]:
    """0 to ``count`` - 1 in the order that the seed decides."""
    order = list(range(count))
    Random(seed).shuffle(order)
    return order


def place_in_epochs(number: int, count: int, seed: int) -> int:
    """Which of ``count`` things is seen as number ``number`` in all; each epoch sees every one, in an order of its
    own."""
    epoch, at = divmod(number, count)
    return shuffled(count, seed + epoch)[at]
