"""Splitting by a hash: what is equal always falls into the same part, whatever file or seed it comes from."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from r1kit.errors import InputError

if TYPE_CHECKING:
    from r1kit.records import Message

__all__ = ["Part", "check_shares", "digest", "evened", "fraction", "own_cluster", "part_of"]

Part = Literal["train", "dev", "test"]


def evened(text: str) -> str:
    """The text with its Unicode forms folded (NFKC), its spaces evened out and its case folded."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def digest(text: str) -> str:
    """16 hex digits that are the same for texts that differ in case and spaces only: a question's own cluster."""
    return hashlib.blake2b(evened(text).encode(), digest_size=8).hexdigest()


def own_cluster(question: str, history: Sequence[Message] | None = None, system_asks: bool = False) -> str:
    """The digest of a question and of what its user said before: ``And twice that?`` asks something else behind other
    turns. A system prompt makes no other question, unless it ``system_asks``: holds what the question is about."""
    told = ("user", "system") if system_asks else ("user",)
    return digest("\n".join([*(turn.content for turn in history or () if turn.role in told), question]))


def fraction(text: str, seed: int) -> float:
    """A number in [0, 1) that the evened text and the seed decide, spread evenly over texts."""
    digest = hashlib.blake2b(f"{seed}/{evened(text)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def part_of(text: str, dev_share: float, test_share: float, seed: int) -> Part:
    """``test`` for about ``test_share`` of all texts, ``dev`` for about ``dev_share``, ``train`` for the others."""
    place = fraction(text, seed)
    return "test" if place < test_share else "dev" if place < test_share + dev_share else "train"


def check_shares(where: str, dev_share: float, test_share: float) -> None:
    """Raise InputError unless both shares are at least 0 and leave something to train on."""
    if not (0 <= dev_share < 1 and 0 <= test_share < 1 and dev_share + test_share < 1):
        raise InputError(
            f"{where}: dev_share = {dev_share}, test_share = {test_share}; each must be at least 0, together below 1"
        )
