r"""What the grammar of this room does not read, integrals, limits and derivatives, is read by ``math-verify``.

Only the reading is its: two such answers are equal when they are one tree. Nothing is worked out, since sympy's
integration and simplification have no bound of time.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from r1kit.answers.splitting import depths
from r1kit.answers.words import FUNCTIONS, GREEK, words

__all__ = ["library_agrees"]

_READABLE = re.compile(r"\\(?:int|iint|lim|sum|prod|setminus)(?![A-Za-z])|\\frac\s*\{\s*d")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z]|[\d.]+|[^\s{}]")
_SLOW = re.compile(r"!|\^\s*[^{\s]\s*\^|(?:\\[a-z]{2,}\s*){5}")
"""Factorials are computed at once; powers of powers and functions of functions without brackets take minutes."""
LONGEST = 300
"""Characters."""
MOST_TOKENS = 40
"""Commands, letters, numbers and signs: its time grows with their third power."""
DEEPEST = 8
"""Brackets in brackets: ``x^{x^{x^{...}}}`` takes twice as long with each."""
_COMMANDS = (FUNCTIONS | GREEK | frozenset(words(
    "int iint lim sum prod setminus frac sqrt infty to rightarrow cdot partial cup cap in mathbb emptyset pm "
    "le ge"
))) - frozenset(words("gcd lcm max min det"))  # fmt: skip
"""What it is trusted with: it computes some others at once, ``\\gcd(10^{10^9}, 7)`` and large binomials for ever."""


def library_agrees(reference: str, answer: str) -> bool:
    """Whether both are formulas that math-verify reads, and it reads the same in both."""
    tree = _tree(reference)
    return tree is not None and bool(tree == _tree(answer))


def _tree(text: str) -> Any:
    if len(text) > LONGEST or not _READABLE.search(text) or _WORD.search(text) or _SLOW.search(text):
        return None
    if len(_TOKEN.findall(text)) > MOST_TOKENS:
        return None
    if max(depths(text)) > DEEPEST or not _COMMANDS.issuperset(re.findall(r"\\([A-Za-z]+)", text)):
        return None
    from math_verify import LatexExtractionConfig, parse  # type: ignore[import-untyped]

    logging.getLogger("math_verify.parser").setLevel(logging.ERROR)  # it warns that its time limit, a signal, is off
    found = parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None
