"""Reflection words in a chain: the paper's list (R1 paper v2, appendix C), and the same in Chinese."""

from __future__ import annotations

import re

__all__ = ["CHINESE_WORDS", "PAPER_WORDS", "REFLECTION", "count_reflection"]

PAPER_WORDS = ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check")
"""Merged from three experts' lists; counted as whole words, in any case, uninflected."""
CHINESE_WORDS = ("等等", "等一下", "检查", "验证", "错误", "不对", "但是", "然而", "重试", "再试")
"""Ours: Chinese has no spaces, so these are counted wherever the characters stand."""

REFLECTION = re.compile(
    rf"(?<![A-Za-z])(?:{'|'.join(PAPER_WORDS)})(?![A-Za-z])|{'|'.join(CHINESE_WORDS)}", re.IGNORECASE
)
"""One reflection word."""


def count_reflection(text: str) -> dict[str, int]:
    """Occurrences of each reflection word that occurs, English ones in lower case."""
    counts: dict[str, int] = {}
    for found in REFLECTION.findall(text):
        word = found.lower()
        counts[word] = counts.get(word, 0) + 1
    return counts
