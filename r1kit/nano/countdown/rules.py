"""Countdown's arithmetic: each number used once, operators applied strictly from left to right, no result out of range.

``7 + 1 * 5`` is (7 + 1) * 5 = 40. Only non-negative integers, ``+``, ``-`` and ``*``; no brackets, no ``=``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["OPS", "Candidate", "Rules", "candidates", "canonical", "combine", "evaluate", "parse", "targets"]

OPS = ("+", "-", "*")
_COMMUTATIVE = ("+", "*")
_EXPRESSION = re.compile(r"\s*[0-9]{1,6}(?:\s*[-+*]\s*[0-9]{1,6})*\s*", re.ASCII)
_WORD = re.compile(r"[0-9]+|[-+*]", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    ops: tuple[str, ...] = OPS
    """Operators an expression may use."""
    limit: int = 99
    """Every result, the intermediate ones included, lies in 0..limit."""


@dataclass(frozen=True, slots=True)
class Candidate:
    text: str
    """An expression in canonical form, for example ``7 + 1 * 5``."""
    value: int


def combine(left: int, op: str, right: int, rules: Rules) -> int | None:
    """``left op right``, or None where that leaves 0..limit."""
    result = left + right if op == "+" else left - right if op == "-" else left * right
    return result if 0 <= result <= rules.limit else None


def parse(text: str) -> tuple[list[int], list[str]] | None:
    """The numbers and the operators of an expression; None if the text is not one. Spaces do not matter."""
    if not _EXPRESSION.fullmatch(text):
        return None
    words = _WORD.findall(text)
    return [int(word) for word in words[::2]], words[1::2]


def evaluate(text: str, numbers: Sequence[int], rules: Rules) -> int | None:
    """The value of an answer; None unless it is an expression within the rules that uses each number exactly once."""
    parsed = parse(text)
    if parsed is None or sorted(parsed[0]) != sorted(numbers):
        return None
    (value, *rest), ops = parsed
    for op, number in zip(ops, rest, strict=True):
        step = combine(value, op, number, rules) if op in rules.ops else None
        if step is None:
            return None
        value = step
    return value


def canonical(text: str) -> str:
    """The form for voting: one space between words, the first pair of ``+`` or ``*`` with its larger number first.

    Later steps keep their order, so ``8 + 1 + 2`` and ``8 + 2 + 1`` are different votes. What is not an expression
    only has its spaces evened out.
    """
    parsed = parse(text)
    if parsed is None:
        return " ".join(text.split())
    numbers, ops = parsed
    if ops and ops[0] in _COMMUTATIVE and numbers[0] < numbers[1]:
        numbers[:2] = numbers[1], numbers[0]
    words = [str(numbers[0])]
    for op, number in zip(ops, numbers[1:], strict=True):
        words += [op, str(number)]
    return " ".join(words)


def _extend(text: str, value: int, rest: tuple[int, ...], rules: Rules) -> Iterator[Candidate]:
    if not rest:
        yield Candidate(text, value)
        return
    for place, number in enumerate(rest):
        for op in rules.ops:
            result = combine(value, op, number, rules)
            if result is not None:
                yield from _extend(f"{text} {op} {number}", result, rest[:place] + rest[place + 1 :], rules)


@lru_cache(maxsize=4096)
def candidates(numbers: tuple[int, ...], rules: Rules) -> tuple[Candidate, ...]:
    """Every expression within the rules over these numbers, in canonical form, each text once."""
    found: dict[str, Candidate] = {}
    for place, first in enumerate(numbers):
        for candidate in _extend(str(first), first, numbers[:place] + numbers[place + 1 :], rules):
            if canonical(candidate.text) == candidate.text:
                found.setdefault(candidate.text, candidate)
    return tuple(found.values())


@lru_cache(maxsize=4096)
def targets(numbers: tuple[int, ...], rules: Rules) -> tuple[int, ...]:
    """The values that can be made from these numbers, ascending."""
    return tuple(sorted({candidate.value for candidate in candidates(numbers, rules)}))
