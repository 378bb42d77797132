"""Compare what a program gave with what was expected, outside the sandbox, by value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Set
from typing import Any

__all__ = ["same_output", "same_value"]

MAX_DEPTH = 64
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Tolerances where a side is a float that is no whole number."""
TINY = 1e-3
"""Share of a small value that the second is at most, unless 0 is asked for."""
FAR = 0.005
"""Half of a second decimal: what the first is at most, however large a value, or four units in its last place."""
WHOLE = 1e-6
"""How far a float may be from a whole number that was asked for, or two units in its last place."""
DIGITS = 15
"""Decimal digits that a float keeps: a longer whole number that is printed as a float is not known to be right."""
MOST_PAIRS = 300
"""Members of a set that are compared one by one, where they are not equal outright."""


def same_value(given: Any, expected: Any, *, python: bool = False, depth: int = 0) -> bool:
    """Whether two plain values are equal.

    Numbers are equal by value, as ``==`` has it (``True`` is 1), and NaN equals NaN. Where either is a float that is
    no whole number, to one part in 10^6, but no further apart than half a second decimal, and no further than 10^-6
    from a whole number. So are members of sets; sets and frozen sets are one kind. A string that names a number is no
    number.

    Args:
        given: by the program.
        expected: by the test.
        python: the test is written in Python, as an assert: a tuple is no list, and keys are as they are. Else it is
            JSON, which has no tuples and only text as keys: lists and tuples are one kind, and the key 1 is ``"1"``.
        depth: how deep they lie.
    """
    if depth > MAX_DEPTH:
        return False
    if isinstance(expected, (int, float, complex)):
        return isinstance(given, (int, float, complex)) and _same_number(given, expected)
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(given, type(expected) if python else (list, tuple))
            and len(given) == len(expected)
            and all(
                same_value(one, other, python=python, depth=depth + 1)
                for one, other in zip(given, expected, strict=True)
            )
        )
    if isinstance(expected, dict):
        if not isinstance(given, dict) or len(given) != len(expected):
            return False
        named = given if python else _named(given, expected)
        return all(
            key in named and same_value(named[key], value, python=python, depth=depth + 1)
            for key, value in expected.items()
        )
    if isinstance(expected, (set, frozenset)):
        return isinstance(given, (set, frozenset)) and _same_members(given, expected, python, depth)
    return type(given) is type(expected) and bool(given == expected)


def _named(given: dict[Any, Any], expected: dict[Any, Any]) -> dict[Any, Any]:
    """The given table with its keys as JSON writes them, where the expected one has but text as keys."""
    if not all(isinstance(key, str) for key in expected):
        return given
    return {key if isinstance(key, str) else _as_key(key): value for key, value in given.items()}


def _as_key(key: Any) -> Any:
    if key is None or isinstance(key, (bool, float)):
        return json.dumps(key)
    return _digits(key) if isinstance(key, int) else key


def _digits(number: int) -> str:
    return str(number) if abs(number) < 10**400 else hex(number)  # Python refuses to write very long ones


def _same_members(given: Set[Any], expected: Set[Any], python: bool, depth: int) -> bool:
    left, wanted = set(given) - set(expected), list(set(expected) - set(given))
    if len(left) != len(wanted) or len(wanted) > MOST_PAIRS:
        return False
    for value in wanted:
        found = next((one for one in left if same_value(one, value, python=python, depth=depth + 1)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _same_number(given: complex, expected: complex) -> bool:
    if isinstance(given, complex) or isinstance(expected, complex):
        one, other = complex(given), complex(expected)
        return _close(one.real, other.real) and _close(one.imag, other.imag)
    return _close(given, expected)


def _close(given: float, expected: float) -> bool:
    """Of two integers or floats."""
    if given == expected:
        return True
    if not (_finite(given) and _finite(expected)):
        return given != given and expected != expected
    whole = [isinstance(side, int) or side.is_integer() for side in (given, expected)]
    if all(whole):
        return False
    try:
        one, other = float(given), float(expected)
    except OverflowError:  # an integer past a float's range
        return False
    away = abs(one - other)
    if away > max(FAR, 4 * math.ulp(other)) or (any(whole) and away > min(max(WHOLE, 2 * math.ulp(other)), 0.25)):
        return False
    small = min(ABSOLUTE, TINY * abs(other)) if other else ABSOLUTE
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=small)


def _finite(number: float) -> bool:
    return isinstance(number, int) or math.isfinite(number)


def same_output(given: bytes, expected: str) -> bool:
    """Whether standard output is what was asked for.

    Every line counts, and their number: output that is cut short, or goes on, is wrong. Spaces at the end of lines and
    blank lines at the end do not count. A line that differs may still match word by word, where a word with a decimal
    point or exponent on either side is compared as ``same_value`` compares floats. Where a whole number is asked for,
    one in exponent form is wrong, and so is one printed as a float of more digits than a float keeps.
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
    if _WHOLE.fullmatch(expected):
        # A whole number was asked for: another spelling of it has no exponent, and no more digits than a float keeps.
        plain = _SPELLED.fullmatch(given)
        if plain is None or len(plain[1].lstrip("0")) > DIGITS:
            return False
    try:
        one, other = float(given), float(expected)
    except ValueError:
        return False
    return math.isfinite(one) and math.isfinite(other) and _close(one, other)


_WHOLE = re.compile(r"[-+]?\d+")
_SPELLED = re.compile(r"[-+]?(\d+)\.?\d*")
