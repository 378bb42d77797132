"""Countdown's arithmetic, as everyone plays it: each number once, brackets, the usual precedence, exact results.

``(7 + 1) * 5`` is 40 and ``7 + 1 * 5`` is 12. Divisions come out even, make fractions or are not allowed, by setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import TypeAlias

from r1kit.answers.expression import Step, Tree, canonical, keeps, read_answer, value_of, written

__all__ = ["OPS", "Rules", "combine", "evaluate", "solutions", "vote"]

OPS = ("+", "-", "*", "/")
Value: TypeAlias = "int | Fraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    ops: tuple[str, ...] = OPS[:3]
    """Operators an expression may use."""
    even: bool = True
    """Whether every division, on the way too, must come out even."""
    use_all: bool = True
    """Whether every number must be used; otherwise some may be left over. None is used twice."""
    limit: int = 99
    """Solutions are looked for among results in 0..limit, the intermediate ones included. An answer has no limit."""


def combine(left: Value, op: str, right: Value, rules: Rules) -> Value | None:
    """``left op right``, or None where that leaves 0..limit or does not divide as the rules want."""
    if op == "/":
        if not right:
            return None
        made = Fraction(left) / right
        if rules.even and made.denominator != 1:
            return None
        result: Value = made.numerator if made.denominator == 1 else made
    else:
        result = left + right if op == "+" else left - right if op == "-" else left * right
    return result if 0 <= result <= rules.limit else None


def evaluate(text: str, numbers: Sequence[int], rules: Rules) -> Fraction | None:
    """The exact value of an answer; None unless it is an expression that keeps the rules."""
    tree = read_answer(text)
    if tree is None or not keeps(tree, numbers, rules.ops, rules.use_all):
        return None
    return value_of(tree, rules.even)


def vote(text: str) -> str:
    """The form for voting: answers that differ in order, brackets and spaces only are one. What is not an expression
    has its spaces evened out."""
    tree = read_answer(text)
    if tree is None or value_of(tree) is None:
        return " ".join(text.split())
    return written(canonical(tree))


def solutions(numbers: tuple[int, ...], rules: Rules) -> Mapping[int, Tree]:
    """Whole value -> an expression for it, for every value that these numbers, in ascending order, make within the
    rules; the values ascending."""
    return _solutions(tuple(sorted(numbers)), rules)


@lru_cache(maxsize=4096)
def _solutions(numbers: tuple[int, ...], rules: Rules) -> Mapping[int, Tree]:
    counts = [len(numbers)] if rules.use_all else range(len(numbers), 1, -1)
    found: dict[int, Tree] = {}
    for some in dict.fromkeys(chosen for count in counts for chosen in combinations(numbers, count)):
        for value, tree in _made(some, rules).items():
            if isinstance(value, int):
                found.setdefault(value, tree)
    return dict(sorted(found.items()))


@lru_cache(maxsize=16384)
def _made(numbers: tuple[int, ...], rules: Rules) -> Mapping[Value, Tree]:
    """Value -> the first expression found for it, of exactly these numbers."""
    if len(numbers) == 1:
        return {numbers[0]: numbers[0]} if numbers[0] <= rules.limit else {}
    found: dict[Value, Tree] = {}
    for one, other in _parted(numbers):
        for left, left_tree in _made(one, rules).items():
            for right, right_tree in _made(other, rules).items():
                first, second = ((left, left_tree), (right, right_tree))
                if left < right:
                    first, second = second, first
                for op in rules.ops:
                    pairs = ((first, second), (second, first)) if op == "/" else ((first, second),)
                    for (a, a_tree), (b, b_tree) in pairs:
                        value = combine(a, op, b, rules)
                        if value is not None and value not in found:
                            found[value] = Step(op, a_tree, b_tree)
    return found


def _parted(numbers: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every way to part the numbers in two, each once."""
    seen = set()
    for count in range(1, len(numbers)):
        for places in combinations(range(1, len(numbers)), count):
            other = tuple(numbers[place] for place in places)
            one = tuple(number for place, number in enumerate(numbers) if place not in places)
            if (one, other) not in seen and (other, one) not in seen:
                seen.add((one, other))
                yield one, other
