"""What the nano world's corpora of worked problems share: four styles, their languages, and draws by shares."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from r1kit.errors import InputError

__all__ = ["STYLES", "check_sum", "languages", "pick", "weighted"]

STYLES = ("terse", "short", "few", "long")

_T = TypeVar("_T")


def languages() -> dict[str, tuple[float, ...]]:
    """By style: shares of documents in the prompt's language, in the other one, mixed; mixing grows with length."""
    return {"terse": (0.6, 0.1, 0.3), "short": (0.55, 0.1, 0.35), "few": (0.4, 0.1, 0.5), "long": (0.3, 0.1, 0.6)}


def check_sum(where: str, shares: Sequence[float]) -> None:
    """Raise InputError unless the shares are at least 0 and sum to 1."""
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"{where} = {list(shares)}; the shares must be at least 0 and sum to 1")


def pick(rng: Random, items: Sequence[_T]) -> _T:
    return items[int(rng.random() * len(items))]


def weighted(rng: Random, shares: Sequence[float]) -> int:
    """A place drawn with these shares, which sum to 1."""
    draw = rng.random()
    for place, share in enumerate(shares[:-1]):
        draw -= share
        if draw < 0:
            return place
    return len(shares) - 1
