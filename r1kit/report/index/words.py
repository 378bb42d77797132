"""What a search looks for: words in a row. A word is a run of letters and digits, or one sign; in Chinese, Japanese and
Korean each character is a word."""

from __future__ import annotations

import re

__all__ = ["LONGEST_TEXT", "holds", "spaced", "words"]

LONGEST_TEXT = 100_000
"""Characters of a text that are searched; what comes after is not."""
_LONGEST_WORD = 64
_EAST = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_EAST}]|[^\W{_EAST}]+|[^\w\s\x00-\x1f\x7f]")


def words(text: str) -> list[str]:
    """In lower case; ``12*5 =?`` is ``12``, ``*``, ``5``, ``=``, ``?``."""
    return [word[:_LONGEST_WORD] for word in _WORD.findall(text[:LONGEST_TEXT].casefold())]


def spaced(text: str) -> str:
    """Its words with a blank between them, as the index holds them."""
    return " ".join(words(text))


def holds(text: str, sought: str) -> bool:
    """Whether the words of ``sought`` stand in ``text`` in a row; the last one may be the beginning of a word."""
    return not (needle := spaced(sought)) or f" {needle}" in f" {spaced(text)}"
