"""Do two formulas say the same? They are compared at points: exactly where they are rational, else to 250 digits.

Two different rational functions agree at a random fraction with a chance below 1e-9; all points are fixed by the names
of the variables, so the verdict is always the same. A decimal that was rounded is not the fraction it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from r1kit.answers.nodes import Node, TooBigError, UndefinedError, number, symbols, walk
from r1kit.answers.value import DIGITS, Evaluation, Number, nearly_equal, precision, spread

__all__ = ["fingerprint", "same", "same_up_to_factor", "value_of"]

MOST_DIGITS = 1250
_SIZED = frozenset(("number", "pow", "factorial", "scientific", "mul", "div", "root"))
ENOUGH = 3
"""Points at which both have a value."""
MOST_SYMBOLS = 12


def same(left: Node, right: Node, deeper: int = 3) -> bool:
    """Whether two trees are equal wherever both have a value.

    Args:
        deeper: how far numbers that are too large are compared part by part.
    """
    if left == right:
        return True
    if "matrix" in (left.kind, right.kind) or "row" in (left.kind, right.kind):
        return left.kind == right.kind and _pairwise(left, right)
    if "infinity" in {node.kind for node in (*walk(left), *walk(right))}:
        return left.kind == right.kind != "infinity" and left.name == right.name and _pairwise(left, right)
    if "based" in (left.kind, right.kind):
        return left.kind == right.kind and left.name == right.name and left.parts == right.parts
    try:
        verdict = _agree(left, right)
    except TooBigError:
        alike = (left.kind, left.name) == (right.kind, right.name) and 0 < len(left.parts) <= 3
        return alike and deeper > 0 and _pairwise(left, right, deeper - 1)
    return verdict


def _pairwise(left: Node, right: Node, deeper: int = 3) -> bool:
    if len(left.parts) != len(right.parts):
        return False
    return all(same(one, other, deeper) for one, other in zip(left.parts, right.parts, strict=True))


def _agree(left: Node, right: Node) -> bool:
    names = symbols(left) | symbols(right)
    if len(names) > MOST_SYMBOLS:
        return False
    real = not _has_i(left) and not _has_i(right)
    digits = max(_digits(left), _digits(right))
    if not names:
        values = [Evaluation({}, digits, False)(node) if not _fails(node, digits) else None for node in (left, right)]
        return None not in values and nearly_equal(values[0], values[1], digits)
    agreed = alone = 0
    for point in points(frozenset(names), frozenset().union(*map(_counted, (*walk(left), *walk(right))))):
        values = [_value(node, point, digits, real) for node in (left, right)]
        if None in values:
            alone += values != [None, None]
        elif not nearly_equal(values[0], values[1], digits):
            return False
        else:
            agreed += 1
    return agreed >= ENOUGH and agreed > alone


def _counted(node: Node) -> frozenset[str]:
    """The variables that are whole numbers there, as those of ``n!`` and ``(-1)^n`` are."""
    if node.kind in ("sum", "prod"):
        return symbols(node.parts[0]) | symbols(node.parts[1])
    if node.kind == "pow" and node.parts[0].kind == "neg":
        return symbols(node.parts[1])
    return symbols(node) if node.kind in ("factorial", "binomial") else frozenset()


def _fails(node: Node, digits: int) -> bool:
    return _value(node, {}, digits, False) is None


@lru_cache(maxsize=2048)
def points(names: frozenset[str], counted: frozenset[str] = frozenset()) -> tuple[dict[str, Fraction], ...]:
    """Where formulas are compared: fractions above 1, below 1, then with one more of the names below 0 each time, so
    that no product of names keeps its sign, and whole numbers of both signs. Counted names (``n!``) are always whole.
    """
    order = sorted(names)
    rounds = [(1, 3, 0)] * 3 + [(0, 1, 0)] * 2 + [(0, 2, below + 1) for below in range(max(3, len(order)))]
    found = [
        {name: spread(f"{name} {turn}", low, high) * _sign(name in order[:below]) for name in order}
        for turn, (low, high, below) in enumerate(rounds)
    ]
    for turn, below in enumerate((0, 0, 0, 1, len(order))):
        found.append({name: _whole(name, turn) * _sign(name in order[:below]) for name in order})
    return tuple({**point, **{name: _whole(name, turn) for name in counted}} for turn, point in enumerate(found))


def _sign(below: bool) -> int:
    return -1 if below else 1


def _whole(name: str, turn: int) -> Fraction:
    return Fraction(2 + turn + round(spread(f"{name} whole {turn}", 0, 9)))


@lru_cache(maxsize=8192)
def _remembered(
    node: Node, place: tuple[tuple[str, Fraction], ...], digits: int, real: bool
) -> Number | TooBigError | None:
    try:
        return Evaluation(dict(place), digits, real)(node)
    except UndefinedError:
        return None
    except TooBigError as error:
        return error


def _value(node: Node, point: dict[str, Fraction], digits: int, real: bool) -> Number | None:
    """None where there is none. Raises TooBigError."""
    found = _remembered(node, tuple(sorted(point.items())), digits, real)
    if isinstance(found, TooBigError):
        raise TooBigError(*found.args)
    return found


def _has_i(node: Node) -> bool:
    return any(part.kind == "constant" and part.name == "i" for part in walk(node))


@lru_cache(maxsize=8192)
def _digits(node: Node) -> int:
    """Enough to tell a formula from itself with any number in it changed in the last place."""
    largest = 0
    for part in walk(node):
        if part.kind not in _SIZED and part.name != "exp":
            continue
        value = _value(part, {}, DIGITS, False) if not symbols(part) else None
        if isinstance(value, Fraction):
            largest = max(largest, value.numerator.bit_length(), value.denominator.bit_length())
        elif value is not None and value != 0 and not any(map(_may_vanish, walk(part))):
            largest = max(largest, abs(precision(DIGITS).mag(value)))
    wanted = DIGITS if largest < 400 else DIGITS + int(largest * 0.7)
    if wanted > MOST_DIGITS and any(part.kind == "add" for part in walk(node)) and not _is_exact(node):
        raise TooBigError("a sum of numbers of very different size")
    return min(wanted, MOST_DIGITS)


def _may_vanish(node: Node) -> bool:
    """Whether its digits may cancel, so that a tiny value says nothing."""
    return node.kind == "add" or (node.kind == "function" and node.name != "exp")


def _is_exact(node: Node) -> bool:
    """Whether only arithmetic is in it, so that its values are fractions."""
    return all(part.kind not in ("constant", "function", "root", "degree") for part in walk(node))


def value_of(node: Node) -> Number | None:
    """Of a formula without symbols; None where it has no value or too large a one."""
    if symbols(node):
        return None
    try:
        return _value(node, {}, DIGITS, False)
    except TooBigError:
        return None


def same_up_to_factor(left: Node, right: Node, positive: bool = False) -> bool:
    """Whether one is the other times a number other than 0, as the two sides of equal equations are."""
    names = frozenset(symbols(left) | symbols(right))
    if not names or len(names) > MOST_SYMBOLS:
        return False
    try:
        ratios = list(_ratios(left, right, names))
    except (TooBigError, ZeroDivisionError):
        return False
    if len(ratios) < ENOUGH or any(ratio == 0 or (positive and not ratio > 0) for ratio in ratios):
        return False
    return all(nearly_equal(ratio, ratios[0], DIGITS) for ratio in ratios[1:])


def _ratios(left: Node, right: Node, names: frozenset[str]) -> Iterator[Number]:
    for point in points(names):
        above, below = (_value(node, point, DIGITS, not _has_i(left)) for node in (left, right))
        if above is None or below is None:
            continue
        if (above == 0) != (below == 0):
            raise ZeroDivisionError
        if below != 0:
            yield (
                above / below
                if isinstance(above, Fraction) == isinstance(below, Fraction)
                else (Evaluation({}, DIGITS, True)._inexact(above) / Evaluation({}, DIGITS, True)._inexact(below))
            )


def fingerprint(node: Node) -> str:
    """Text that is the same for equal formulas: an exact fraction, else digits, else digits at three points."""
    names = sorted(symbols(node))
    if node.kind in ("matrix", "row"):
        return f"[{', '.join(map(fingerprint, node.parts))}]"
    if node.kind == "based":
        return f"{node.name}_{node.parts[0].value}"
    if node.kind == "infinity" or (node.kind == "neg" and node.parts[0].kind == "infinity"):
        return "oo" if node.kind == "infinity" else "-oo"
    try:
        shown = [_shown(node, point) for point in (points(frozenset(names)) if names else ({},))]
    except TooBigError:
        return hashlib.blake2b(repr(node).encode(), digest_size=16).hexdigest()
    if not names:
        return shown[0]
    return f"f({', '.join(names)}) = {', '.join(one for one in shown if one != 'undefined')}"


def _shown(node: Node, point: dict[str, Fraction]) -> str:
    value = _value(node, point, DIGITS, not _has_i(node) and bool(point))
    if value is None:
        return "undefined"
    if isinstance(value, Fraction):
        return str(value) if max(abs(value.numerator), value.denominator) < 10**100 else _digest(value)
    near = None if point else _small_fraction(value)
    if near is not None and same(node, number(near)):
        return str(near)
    return str(Evaluation({}, DIGITS, False).mp.nstr(value, 30))


def _small_fraction(value: Number) -> Fraction | None:
    """What a real number may be but for its last digits, as the logarithm of 8 to the base 2 is 3."""
    mp = precision(DIGITS)
    if isinstance(value, mp.mpc) or not mp.mpf(10) ** -9 < abs(value) < 10**9:
        return None
    near = Fraction(mp.nstr(value, 40)).limit_denominator(1000)
    return near if nearly_equal(near, value, DIGITS) else None


def _digest(value: Fraction) -> str:
    """A long number by its length and a hash: Python writes out no more than 4,300 digits."""
    told = f"{value.numerator:x}/{value.denominator:x}"
    return f"{len(told)} hex digits, {hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}"
