"""Compare what a program gave with what was expected, outside the sandbox, by value."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["same_output", "same_value"]

MAX_DEPTH = 64
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Tolerances where either side is a float."""


def same_value(given: Any, expected: Any, depth: int = 0) -> bool:
    """Whether two plain values are equal.

    Lists and tuples are one kind, since JSON has one; so are sets and frozen sets. Numbers are equal by value, as
    ``==`` has it (``True`` is 1); where either is a float, to one part in 10^6, and NaN equals NaN. A string that names
    a number is no number.
    """
    if depth > MAX_DEPTH:
        return False
    if isinstance(expected, (int, float, complex)):
        return isinstance(given, (int, float, complex)) and _same_number(given, expected)
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(given, (list, tuple))
            and len(given) == len(expected)
            and all(same_value(one, other, depth + 1) for one, other in zip(given, expected, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(given, dict)
            and len(given) == len(expected)
            and all(key in given and same_value(given[key], value, depth + 1) for key, value in expected.items())
        )
    if isinstance(expected, (set, frozenset)):
        return isinstance(given, (set, frozenset)) and given == expected
    return type(given) is type(expected) and bool(given == expected)


def _same_number(given: complex, expected: complex) -> bool:
    if isinstance(given, int) and isinstance(expected, int):
        return given == expected
    if isinstance(given, complex) or isinstance(expected, complex):
        one, other = complex(given), complex(expected)
        return _close(one.real, other.real) and _close(one.imag, other.imag)
    try:
        return _close(float(given), float(expected))
    except OverflowError:  # an integer past a float's range
        return False


def _close(given: float, expected: float) -> bool:
    if math.isnan(expected):
        return math.isnan(given)
    return math.isclose(given, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def same_output(given: bytes, expected: str) -> bool:
    """Whether standard output is what was asked for.

    Every line counts, and their number: output that is cut short, or goes on, is wrong. Spaces at the end of lines and
    blank lines at the end do not count. A line that differs may still match word by word, where a word with a decimal
    point or exponent on either side is compared as a float.
    """
    try:
        lines = _lines(given.decode("utf-8"))
    except UnicodeDecodeError:
        return False
    wanted = _lines(expected)
    return len(lines) == len(wanted) and all(
        line == other or _same_words(line.split(), other.split()) for line, other in zip(lines, wanted, strict=True)
    )


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_words(given: list[str], expected: list[str]) -> bool:
    return len(given) == len(expected) and all(
        one == other or _same_decimal(one, other) for one, other in zip(given, expected, strict=True)
    )


def _same_decimal(given: str, expected: str) -> bool:
    if not any(mark in given + expected for mark in ".eE") or "_" in given or len(given) > 400:
        return False
    try:
        one, other = float(given), float(expected)
    except ValueError:
        return False
    return math.isfinite(one) and math.isfinite(other) and _close(one, other)
