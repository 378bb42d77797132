"""Which split is meant, and which one a file of a folder belongs to by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from r1kit.errors import InputError, nearest

__all__ = ["pick_split", "split_of"]

WORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Word in a file's name -> split, as the hub reads file names."""


def split_of(file: Path) -> str:
    """The split that the words of a path say, those of the file's own name first; empty for none."""
    for part in (file.name, *reversed(file.parts[:-1])):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in WORDS:
                return WORDS[word]
    return ""


def pick_split(where: str, wanted: str, splits: Sequence[str]) -> str:
    """The split that is read: the one that was named (of ``test|train`` the first that there is), ``train``, or the
    only one.

    Raises:
        InputError: there is no such split, or none is named and several could be meant.
    """
    if "|" in wanted:
        found = [name for name in wanted.split("|") if any(WORDS.get(split, split) == name for split in splits)]
        return pick_split(where, found[0] if found else "", splits)
    base = re.split(r"[\[+]", wanted)[0]  # datasets' own slices, train[:100], pass
    if base in splits:
        return wanted
    same = [split for split in splits if WORDS.get(split) == WORDS.get(base, base)]
    if base and len(same) == 1:
        return same[0]
    if base:
        raise InputError(f"{where} has no split {wanted!r}; its splits are {_listed(splits)}.{nearest(base, splits)}")
    if "train" in splits or len(splits) == 1:
        return "train" if "train" in splits else splits[0]
    raise InputError(f'{where} has the splits {_listed(splits)}; write split = "{splits[0] if splits else "..."}"')


def _listed(splits: Iterable[str]) -> str:
    return ", ".join(splits) or "none"
