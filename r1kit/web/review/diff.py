"""What an edit changes, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

__all__ = ["Change", "word_diff"]

Change = tuple[Literal["same", "gone", "new"], str]

_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]|[^\W぀-ヿ㐀-鿿가-힯]+|\s+|[^\w\s]")
"""A letter of a script without spaces is a word of its own."""
MOST = 4_000_000
"""Pairs of pieces that are compared. Where there are more words than that, lines are, and words within changed ones."""


def word_diff(before: str, after: str) -> list[Change]:
    """The pieces of both texts in order; ``same`` and ``gone`` make the one before, ``same`` and ``new`` that after."""
    found = _diff(_WORD.findall(before), _WORD.findall(after))
    if found is None:
        found = []
        lines = _diff(before.splitlines(keepends=True), after.splitlines(keepends=True))
        for old, new, is_same in lines or [(before, after, False)]:
            within = None if is_same else _diff(_WORD.findall(old), _WORD.findall(new))
            found += within or [(old, new, is_same)]
    changes: list[Change] = []
    for old, new, is_same in found:
        changes += [("same", old)] if is_same else [("gone", old), ("new", new)]
    return [change for change in changes if change[1]]


def _diff(old: list[str], new: list[str]) -> list[tuple[str, str, bool]] | None:
    """(pieces of the old, of the new, whether they are the same) in order; None where it would take long."""
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    inner = old[start : len(old) - end], new[start : len(new) - end]
    if len(inner[0]) * len(inner[1]) > MOST:
        return None
    first, last = "".join(old[:start]), "".join(old[len(old) - end :])
    codes = SequenceMatcher(None, *inner, autojunk=False).get_opcodes()
    found = [("".join(inner[0][a:b]), "".join(inner[1][c:d]), kind == "equal") for kind, a, b, c, d in codes]
    return [(first, first, True), *found, (last, last, True)]


def _alike(one: list[str], other: list[str]) -> int:
    """Pieces that both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
