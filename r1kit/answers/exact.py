"""Functions of numbers whose results are exact where their arguments are."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from r1kit.answers.nodes import UndefinedError

__all__ = ["EXACT", "Number", "determinant", "whole_root"]

Number = Any
"""A ``Fraction``, or a real or complex number of mpmath."""


def whole_root(value: int, degree: int) -> int | None:
    """The exact root of a whole number of at least 0."""
    if value < 2 or degree == 1:
        return value
    if degree == 2:
        root = math.isqrt(value)
        return root if root * root == value else None
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < value:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == value else None


def _floor(value: Number) -> Fraction:
    """Of a number that is whole but for its last digits, as the logarithm of 125 to the base 5 is, that number."""
    if isinstance(value, Fraction):
        return Fraction(math.floor(value))
    mp = value.context
    nearest = mp.nint(value)
    return Fraction(int(nearest if abs(value - nearest) < mp.mpf(10) ** (50 - mp.dps) else mp.floor(value)))


def _ceil(value: Number) -> Fraction:
    return -_floor(-value)


def _counted(of: Callable[..., int]) -> Callable[..., Fraction]:
    def counted(*values: Fraction) -> Fraction:
        if any(value.denominator != 1 for value in values):
            raise UndefinedError("not a whole number")
        return Fraction(of(*map(int, values)))

    return counted


def _largest(*values: Number) -> Number:
    return max(values)


def _smallest(*values: Number) -> Number:
    return min(values)


EXACT: dict[str, Callable[..., Number]] = {
    "abs": abs, "floor": _floor, "ceil": _ceil, "gcd": _counted(math.gcd), "lcm": _counted(math.lcm),
    "max": _largest, "min": _smallest,
}  # fmt: skip


def determinant(rows: tuple[tuple[Number, ...], ...]) -> Number:
    size = len(rows)
    if size > 5 or any(len(row) != size for row in rows):
        raise UndefinedError("determinant")
    if size == 1:
        return rows[0][0]
    total: Number = Fraction(0)
    for place, first in enumerate(rows[0]):
        minor = tuple(row[:place] + row[place + 1 :] for row in rows[1:])
        total = total + (-1) ** place * first * determinant(minor)
    return total
