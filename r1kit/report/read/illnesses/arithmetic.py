"""Equations that a chain writes down, and whether they hold: ``12 - 5 = 7``, whatever stands around them.

An equation counts as right if it holds in any way that people write: by ordinary precedence or strictly from left to
right; up to the next sign (``5 - 5 = 0 + 12 = 12``) or with all of the right side (``8 - 3 = 10 / 2``); exactly or as
rounded to the digits that are written. So what counts as wrong is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

__all__ = ["equations"]

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,15})?"
_SPACE, _BRACKETS = r"\s{0,3}", "{0,8}"
_TERM = rf"[-+]?(?:\({_SPACE}){_BRACKETS}[-+]?{_NUMBER}(?:{_SPACE}\)){_BRACKETS}"
_RUN = re.compile(rf"{_TERM}(?:{_SPACE}[-+*/]{_SPACE}{_TERM}){{0,20}}")
"""Numbers with signs between them, brackets and all; bounded, so that no text takes long."""
_TOKEN = re.compile(rf"{_NUMBER}|[-+*/()]")
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "$": " ", "≈": "="})
_WORDS = re.compile(r"\\(?:times|cdot|div|approx|,|;|!|quad)(?![a-zA-Z])|\\[()\[\]]")
_SPELT = {"\\times": "*", "\\cdot": "*", "\\div": "/", "\\approx": "="}
LONGEST = 20_000
"""Characters that are looked at."""


def equations(text: str) -> Iterator[bool]:
    """Of each equation with a calculation to its left, in order: whether it holds."""
    text = text[:LONGEST]
    text = _WORDS.sub(lambda found: _SPELT.get(found.group(), " "), text.translate(_SIGNS))
    runs = [(found.start(), found.end()) for found in _RUN.finditer(text)]
    for (start, end), (after, last) in pairwise(runs):
        if text[end:after].strip() == "=" and _stands_alone(text, start, last):
            held = _equation(text[start:end], text[after:last])
            if held is not None:
                yield held


def _stands_alone(text: str, start: int, last: int) -> bool:
    """Neither a letter, a power nor a share sticks to it: ``2x + 3 = 7`` and ``x^2 + 1 = 5`` are no sums of numbers."""
    before, after = text[:start].rstrip()[-1:], text[last : last + 1]
    glued = text[start - 1 : start] if start else ""
    is_alone = not (glued.isascii() and glued.isalnum()) and before not in set("^_*/%!<>=+-}|\\") - {"="}
    return is_alone and not (after.isascii() and after.isalnum()) and after not in set("^_%!")


@lru_cache(maxsize=8192)
def _equation(left: str, right: str) -> bool | None:
    """Whether it holds; None where the left side calculates nothing."""
    values = _values(left)
    return None if values is None else _holds(values, right)


def _values(side: str) -> set[Fraction] | None:
    """By precedence and from left to right; None where nothing is calculated, or it is no expression."""
    tokens = _TOKEN.findall(side)
    if not any(sign in tokens[1:] for sign in "+-*/"):
        return None
    found = {value for in_turn in (False, True) if (value := _Sum(tokens, in_turn).value()) is not None}
    return found or None


def _holds(left: set[Fraction], right: str) -> bool:
    tokens = _TOKEN.findall(right)
    sign = 1 if tokens[0] in "+-" else 0
    first = "".join(tokens[: sign + 1]) if tokens[sign:] and tokens[sign][0].isdigit() else ""
    whole = _values(right) or set()
    shown = Fraction(first.replace(",", "")) if first else None
    if shown is not None:
        digits = len(first.partition(".")[2])
        if any(abs(value - shown) <= Fraction(1, 2 * 10**digits) for value in left):
            return True
    return bool(left & whole)


class _Sum:
    """One side, read once."""

    def __init__(self, tokens: list[str], in_turn: bool) -> None:
        self.tokens, self.in_turn, self.at = tokens, in_turn, 0

    def value(self) -> Fraction | None:
        """None where it is no expression, or divides by 0."""
        try:
            found = self._sum()
        except (ValueError, ZeroDivisionError, RecursionError):
            return None
        return found if self.at == len(self.tokens) else None

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _sum(self) -> Fraction:
        found = self._atom() if self.in_turn else self._product()
        while (sign := self._peek()) and sign in ("+-*/" if self.in_turn else "+-"):
            self.at += 1
            found = _apply(found, sign, self._atom() if self.in_turn else self._product())
        return found

    def _product(self) -> Fraction:
        found = self._atom()
        while (sign := self._peek()) and sign in "*/":
            self.at += 1
            found = _apply(found, sign, self._atom())
        return found

    def _atom(self) -> Fraction:
        token = self._peek()
        self.at += 1
        if token and token in "+-":
            return -self._atom() if token == "-" else self._atom()
        if token == "(":
            found = self._sum()
            if self._peek() != ")":
                raise ValueError("a bracket stays open")
            self.at += 1
            return found
        return Fraction(token.replace(",", ""))


def _apply(left: Fraction, sign: str, right: Fraction) -> Fraction:
    return {"+": left.__add__, "-": left.__sub__, "*": left.__mul__, "/": left.__truediv__}[sign](right)
