"""Intervals and inequalities of one variable as ranges of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.answers.formula import read_formula
from r1kit.answers.nodes import Node, TooBigError, UnreadError
from r1kit.answers.same import same, value_of
from r1kit.answers.splitting import depths
from r1kit.answers.words import DENIALS, FUNCTIONS

__all__ = [
    "Range", "common", "full_range", "is_name", "lone_symbol", "outside", "overlap", "read_range", "same_ranges",
    "split_relation", "without_point",
]  # fmt: skip

_SIGN = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|\\approx(?![A-Za-z])|[=<>]")
_SYMBOL = (
    r"(?:[A-Za-z]|\\(?!frac|sqrt|pi|infty|text|ln|lo?g|exp|abs|arc)[A-Za-z]+(?:\s*\{[A-Za-z]\})?)"
    r"'*(?:\s*_\s*(?:\{[^{}]*\}|\w))?'*"
)
_SIZE = (
    r"\\?\|\s*(?:[A-Zz]{1,3}(?:_\w)?|[A-Z]\s*\\c[au]p\s*[A-Z]"
    r"|\\(?:vec|overrightarrow|overline)\s*\{?\s*[A-Za-z]+\s*\}?)\s*\\?\|"
)
"""Of a set, a complex number, a vector; ``|x| = 5`` is an equation."""
_FUNCTION = rf"(?:{'|'.join((*FUNCTIONS, 'sqrt', 'cbrt'))})\b"
_LONE = re.compile(_SYMBOL)
_NAME = re.compile(
    rf"(?!([A-Za-z])\s*[(\[].*\1){_SYMBOL}(?:\s*\([^()=<>]{{1,20}}\)|\s*\[[^\[\]=<>]{{1,20}}\])?"
    rf"|[fgh]\s*\^\s*\{{?\s*-\s*1\s*\}}?\s*\([a-z]\)|{_SIZE}|\[\s*[A-Z]{{3,6}}\s*\]|\\det\s*[A-Z]|(?!{_FUNCTION})(?:\\text\{{)?[A-Za-z]{{3,}}\}}?\s*\([^()=<>]{{1,20}}\)"
    r"|\\(?:sin|cos|tan)\s*(?:\\angle\s*)?(?:[A-Z]{1,3}|\\(?!pi)[a-z]+)"
    rf"|\(\s*{_SYMBOL}(?:\s*,\s*{_SYMBOL})+\s*\)"
    r"|(?:\\complement\s*_\s*\{?\s*[A-Z]\s*\}?\s*)?\(?[A-Z](?:\s*\\c[au]p\s*\(?[A-Z]){1,2}\)?"
    r"|\\complement\s*_\s*\{?\s*[A-Z]\s*\}?\s*\(?[A-Z]\)?"
    r"|(?:m\s*)?\\angle\s*[A-Z]+|\|?\s*(?:\\(?:overline|vec|overrightarrow)\s*\{)?[A-Z]{2,3}\}?\s*\|?"
    r"|\\frac\s*\{\s*d[a-z]\s*\}\s*\{\s*d[a-z]\s*\}|(?:P|Pr|\\Pr|\\mathbb\{P\})\s*[(\[][^()\[\]]{1,60}[)\]]"
    r"|pO?H|pK_\{?[abw]\}?"
    r"|S_\{?[^{}]*\}?|(?:\\text\{)?[A-Za-z]{3,}(?: [A-Za-z]+){0,4}\}?"
)


def split_relation(text: str) -> tuple[list[str], list[str]]:
    """(sides, signs between them) at the signs that stand outside brackets."""
    level, sides, signs, start = depths(text), [], [], 0
    for match in _SIGN.finditer(text):
        if level[match.start()] == 0:
            sides.append(text[start : match.start()].strip())
            signs.append(match[0])
            start = match.end()
    return [*sides, text[start:].strip()], signs


def lone_symbol(text: str) -> bool:
    """One variable: ``x``, ``\\theta``, ``a_1``."""
    return bool(_LONE.fullmatch(text)) and text not in ("e", "i")


def is_name(text: str) -> bool:
    """What may stand before an equals sign without being part of the answer: ``x``, ``f(x)``, ``AB``, ``Area``; words
    that deny are no name."""
    return bool(_NAME.fullmatch(text)) and text not in ("e", "i") and DENIALS.isdisjoint(text.lower().split())


_DISTANCE = re.compile(r"\|\s*(?P<name>[A-Za-z])\s*(?:(?P<sign>[+-])\s*(?P<middle>[^|+-]+))?\|")
_INFINITY = Node("infinity")
_MINUS_INFINITY = Node("neg", (_INFINITY,))


@dataclass(frozen=True, slots=True)
class Range:
    low: Node
    high: Node
    low_closed: bool
    high_closed: bool

    @classmethod
    def point(cls, node: Node) -> Range:
        return cls(node, node, True, True)

    def __post_init__(self) -> None:
        """Infinity is never reached."""
        if self.low == _MINUS_INFINITY:
            object.__setattr__(self, "low_closed", False)
        if self.high == _INFINITY:
            object.__setattr__(self, "high_closed", False)


def full_range() -> Range:
    return Range(_MINUS_INFINITY, _INFINITY, False, False)


def outside(hole: Range) -> tuple[Range, ...]:
    """All numbers but those of a range."""
    below = Range(_MINUS_INFINITY, hole.low, False, not hole.low_closed)
    above = Range(hole.high, _INFINITY, not hole.high_closed, False)
    return tuple(
        each
        for each in (below, above)
        if each.low != each.high and each.high != _MINUS_INFINITY and each.low != _INFINITY
    )


def read_range(sides: Sequence[str], signs: Sequence[str]) -> tuple[str, tuple[Range, ...]] | None:
    """(variable, ranges) of ``x < 3``, ``1 < x \\le 3``, ``x \\ne 2``, ``|x - 1| < 2``; else None."""
    try:
        if len(signs) == 1:
            return _around(sides, signs[0]) or _one_sided(list(sides), signs[0])
        if len(signs) == 2 and lone_symbol(sides[1]):
            ends = [read_formula(sides[0]), read_formula(sides[2])]
            if all(sign in ("<", "\\le") for sign in signs):
                return sides[1], (Range(ends[0], ends[1], signs[0] == "\\le", signs[1] == "\\le"),)
            if all(sign in (">", "\\ge") for sign in signs):
                return sides[1], (Range(ends[1], ends[0], signs[1] == "\\ge", signs[0] == "\\ge"),)
    except (UnreadError, TooBigError):
        return None
    return None


def _around(sides: Sequence[str], sign: str) -> tuple[str, tuple[Range, ...]] | None:
    """Of ``|x - 1| < 2`` and ``|x| \\ge 3``."""
    found = _DISTANCE.fullmatch(sides[0])
    if not found or sign not in ("<", "\\le", ">", "\\ge"):
        return None
    radius = read_formula(sides[1])
    if not (_place(radius) or 0) > 0:
        return None
    ends = [Node("neg", (radius,)), radius]
    if found["middle"]:
        middle = read_formula(found["middle"])
        ends = [Node("add", (Node("neg", (middle,)) if found["sign"] == "+" else middle, end)) for end in ends]
    low, high = ends
    if sign in ("<", "\\le"):
        return found["name"], (Range(low, high, sign == "\\le", sign == "\\le"),)
    return found["name"], (
        Range(_MINUS_INFINITY, low, False, sign == "\\ge"),
        Range(high, _INFINITY, sign == "\\ge", False),
    )


def overlap(ranges: Sequence[Range]) -> Range | None:
    """What two ranges that are open to one side each have in common: ``x \\ge 1`` and ``x < 3``."""
    if len(ranges) == 2:
        for one, other in (ranges, tuple(reversed(ranges))):
            if one.high == _INFINITY and other.low == _MINUS_INFINITY and other.high != _INFINITY:
                return Range(one.low, other.high, one.low_closed, other.high_closed)
    return None


def common(one: Sequence[Range], other: Sequence[Range]) -> tuple[Range, ...] | None:
    """The numbers that two unions share; None where an end is not known."""
    found: list[Range] = []
    for left in one:
        for right in other:
            ends = [_end(node) for node in (left.low, right.low, left.high, right.high)]
            if None in ends:
                return None
            low, other_low, high, other_high = (end or 0.0 for end in ends)
            begins = left if low > other_low or (low == other_low and not left.low_closed) else right
            stops = left if high < other_high or (high == other_high and not left.high_closed) else right
            if max(low, other_low) < min(high, other_high):
                found.append(Range(begins.low, stops.high, begins.low_closed, stops.high_closed))
    return tuple(found)


def _end(node: Node) -> float | None:
    return float("inf") if node == _INFINITY else _place(node)


def _one_sided(sides: list[str], sign: str) -> tuple[str, tuple[Range, ...]] | None:
    left, right = map(lone_symbol, sides)
    if not left and not right:
        return None
    if not left or (right and sides[0] < sides[1]):
        sides.reverse()
        sign = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}.get(sign, sign)
    end = read_formula(sides[1])
    if sign in ("<", "\\le"):
        return sides[0], (Range(_MINUS_INFINITY, end, False, sign == "\\le"),)
    if sign in (">", "\\ge"):
        return sides[0], (Range(end, _INFINITY, sign == "\\ge", False),)
    if sign == "\\ne":
        return sides[0], (Range(_MINUS_INFINITY, end, False, False), Range(end, _INFINITY, False, False))
    return None


def without_point(ranges: Sequence[Range], point: Node) -> tuple[Range, ...] | None:
    """The ranges with one cut in two at a point inside it; None where it is not known to lie inside one."""
    place = _place(point)
    for index, one in enumerate(ranges):
        low, high = _place(one.low), float("inf") if one.high == _INFINITY else _place(one.high)
        if None not in (place, low, high) and low < place < high:  # type: ignore[operator]
            halves = Range(one.low, point, one.low_closed, False), Range(point, one.high, False, one.high_closed)
            return (*ranges[:index], *halves, *ranges[index + 1 :])
    return None


def same_ranges(left: Sequence[Range], right: Sequence[Range]) -> bool:
    """Whether two unions hold the same numbers; ranges that touch are not joined."""
    left, right = _ordered(left), _ordered(right)
    return len(left) == len(right) and all(
        (one.low_closed, one.high_closed) == (other.low_closed, other.high_closed)
        and same(one.low, other.low)
        and same(one.high, other.high)
        for one, other in zip(left, right, strict=True)
    )


def _ordered(ranges: Sequence[Range]) -> list[Range]:
    keys = [_place(one.low) for one in ranges]
    if any(key is None for key in keys):
        return list(ranges)
    return [ranges[place] for place in sorted(range(len(ranges)), key=lambda place: keys[place] or 0.0)]


def _place(node: Node) -> float | None:
    if node == _MINUS_INFINITY:
        return float("-inf")
    value = value_of(node)
    try:
        return None if value is None else float(value)
    except (OverflowError, TypeError):
        return None
