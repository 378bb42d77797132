"""Random numbers of items that are numbered and not drawn one after the other: no torch, the same in every process."""

from __future__ import annotations

import hashlib
from random import Random

__all__ = ["stream"]


def stream(seed: int, name: str, index: int) -> Random:
    """The random numbers of item ``index`` of a named stream; streams of different names or seeds are unrelated."""
    key = hashlib.blake2b(f"{name}/{seed}".encode(), digest_size=8).digest()
    return Random((int.from_bytes(key, "big") << 64) | index)
