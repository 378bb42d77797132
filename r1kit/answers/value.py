"""What a formula is worth at a point: an exact fraction wherever it can be, else a number of several hundred digits.

Everything is bounded before it is computed: powers, factorials, sums. ``9^{9^9}`` raises ``TooBigError`` at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from r1kit.answers.exact import EXACT, Number, determinant, whole_root
from r1kit.answers.nodes import Node, TooBigError, UndefinedError

__all__ = ["DIGITS", "Evaluation", "Number", "nearly_equal", "precision", "spread"]

DIGITS = 250
"""Decimal digits of a result that is not exact, where nothing asks for more."""
MOST_BITS = 60_000
"""Of the numerator or denominator of an exact result: 18,000 decimal digits."""
MOST_TERMS = 2_000
"""Of a sum or product with bounds."""
LARGEST_FACTORIAL = 3_000
MOST_WORK = 10_000
"""Of one value: about 2 microseconds each, so that nested sums and sums of sines end."""
LARGEST_POWER = 10_000
"""Largest decimal exponent of a result that is not exact."""


@cache
def precision(digits: int) -> Any:
    """An mpmath context of its own, so that no global setting is touched."""
    from mpmath import MPContext  # type: ignore[import-untyped]

    context = MPContext()
    context.dps = digits
    return context


class Evaluation:
    """Values of trees at one point.

    Args:
        point: name of a symbol -> value.
        digits: of results that are not exact.
        real: whether a root of a negative number has no value.
    """

    def __init__(self, point: Mapping[str, Fraction], digits: int, real: bool) -> None:
        self.point, self.real = dict(point), real
        self.mp = precision(digits)
        self._step = digits / DIGITS
        self._left = float(MOST_WORK)

    def __call__(self, node: Node) -> Number:
        """Raises TooBigError or UndefinedError."""
        self._spend(1.0)
        try:
            value = getattr(self, f"_{node.kind}", self._unknown)(node)
        except (ZeroDivisionError, OverflowError, ValueError, ArithmeticError, TypeError) as error:
            if isinstance(error, (TooBigError, UndefinedError)):
                raise
            raise UndefinedError(str(error)) from None
        return self._checked(value)

    def _spend(self, work: float) -> None:
        self._left -= work
        if self._left < 0:
            raise TooBigError("too much work")

    def _checked(self, value: Number) -> Number:
        if isinstance(value, Fraction):
            bits = max(value.numerator.bit_length(), value.denominator.bit_length())
            if bits > MOST_BITS:
                raise TooBigError("too many digits")
            self._spend((bits / 1200) ** 2)
            return value
        self._spend(self._step)
        if isinstance(value, self.mp.mpc):
            if self.real:
                raise UndefinedError("not real")
            if value.imag == 0:
                return value.real
        if not self.mp.isfinite(value):
            raise UndefinedError("not finite")
        return value

    def _inexact(self, value: Number) -> Number:
        return self.mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value

    def _unknown(self, node: Node) -> Number:
        raise UndefinedError(node.kind)

    # ---- leaves and arithmetic -------------------------------------------------------------------------------------

    def _number(self, node: Node) -> Number:
        return node.value

    def _symbol(self, node: Node) -> Number:
        return self.point[node.name]

    def _constant(self, node: Node) -> Number:
        return {"pi": +self.mp.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[node.name]

    def _pair(self, left: Number, right: Number) -> tuple[Number, Number]:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left, right
        return self._inexact(left), self._inexact(right)

    def _add(self, node: Node) -> Number:
        total = self(node.parts[0])
        for part in node.parts[1:]:
            left, right = self._pair(total, self(part))
            total = self._checked(left + right)
        return total

    def _mul(self, node: Node) -> Number:
        left, right = self._pair(*map(self, node.parts))
        return left * right

    _scientific = _mul

    def _div(self, node: Node) -> Number:
        left, right = self._pair(*map(self, node.parts))
        if right == 0:
            raise UndefinedError("division by zero")
        return left / right

    def _neg(self, node: Node) -> Number:
        return -self(node.parts[0])

    def _mixed(self, node: Node) -> Number:
        return self(node.parts[0]) + self(node.parts[1])

    def _percent(self, node: Node) -> Number:
        return self(node.parts[0]) / 100

    def _degree(self, node: Node) -> Number:
        return self._inexact(self(node.parts[0])) * self.mp.pi / 180

    # ---- powers ----------------------------------------------------------------------------------------------------

    def _pow(self, node: Node) -> Number:
        return self._power(*map(self, node.parts))

    def _root(self, node: Node) -> Number:
        degree = self(node.parts[1])
        if degree == 0:
            raise UndefinedError("root of degree 0")
        return self._power(self(node.parts[0]), 1 / degree)

    def _power(self, base: Number, exponent: Number) -> Number:
        if isinstance(exponent, Fraction):
            if exponent.denominator == 1:
                return self._whole_power(base, int(exponent))
            exact = self._exact_root(base, exponent) if isinstance(base, Fraction) else None
            if exact is not None:
                return exact
            if not isinstance(base, self.mp.mpc) and base < 0 and exponent.denominator % 2 == 1:
                sign = -1 if exponent.numerator % 2 else 1
                return sign * self._inexact(self._power(-base, exponent))
        self._spend(20 * self._step**1.5)
        base, exponent = self._inexact(base), self._inexact(exponent)
        if base == 0:
            if self.mp.re(exponent) <= 0:
                raise UndefinedError("power of 0")
            return Fraction(0)
        if self.real and base < 0:
            raise UndefinedError("power of a negative number")
        if abs(self.mp.re(exponent * self.mp.log(base))) > 2.3 * LARGEST_POWER:
            raise TooBigError("power")
        return self.mp.power(base, exponent)

    def _whole_power(self, base: Number, exponent: int) -> Number:
        if base == 0:
            if exponent < 0:
                raise UndefinedError("division by zero")
            return Fraction(int(exponent == 0))
        if isinstance(base, Fraction):
            if abs(base) == 1:
                return Fraction(1 if base > 0 or exponent % 2 == 0 else -1)
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits * abs(exponent) > MOST_BITS:
                raise TooBigError("power")
            return base**exponent
        if abs(exponent) > LARGEST_POWER or abs(exponent * self.mp.log(abs(base), 10)) > LARGEST_POWER:
            raise TooBigError("power")
        return base**exponent

    def _exact_root(self, base: Fraction, exponent: Fraction) -> Fraction | None:
        """A root that is a fraction, raised to the exponent's numerator."""
        degree = exponent.denominator
        if base < 0 or degree > 64:
            return None
        above, below = whole_root(base.numerator, degree), whole_root(base.denominator, degree)
        if above is None or below is None or (above == 0 and exponent < 0):
            return None
        root: Fraction = self._whole_power(Fraction(above, below), exponent.numerator)
        return root

    # ---- counting --------------------------------------------------------------------------------------------------

    def _count(self, node: Node) -> int:
        value = self(node)
        if not isinstance(value, Fraction) or value.denominator != 1:
            raise UndefinedError("not a whole number")
        return int(value)

    def _factorial(self, node: Node) -> Number:
        count = self._count(node.parts[0])
        if count < 0:
            raise UndefinedError("factorial of a negative number")
        if count > LARGEST_FACTORIAL:
            raise TooBigError("factorial")
        return Fraction(math.factorial(count))

    def _binomial(self, node: Node) -> Number:
        if len(node.parts) != 2:
            raise UndefinedError("binomial")
        above, below = map(self._count, node.parts)
        if above < 0 or below < 0:
            raise UndefinedError("binomial of a negative number")
        if above > LARGEST_FACTORIAL:
            raise TooBigError("binomial")
        return Fraction(math.comb(above, below))

    def _series(self, node: Node) -> Number:
        start, end, body = self._count(node.parts[0]), self._count(node.parts[1]), node.parts[2]
        if end - start >= MOST_TERMS:
            raise TooBigError("sum")
        outer = self.point.get(node.name)
        total: Number = Fraction(int(node.kind == "prod"))
        for index in range(start, end + 1):
            self.point[node.name] = Fraction(index)
            left, right = self._pair(total, self(body))
            total = self._checked(left + right if node.kind == "sum" else left * right)
        self.point.pop(node.name, None)
        if outer is not None:
            self.point[node.name] = outer
        return total

    _sum = _prod = _series

    # ---- functions -------------------------------------------------------------------------------------------------

    def _call(self, node: Node) -> Number:
        """An unknown function: a number that its name and its argument decide."""
        value = self(node.parts[0])
        told = str(value) if isinstance(value, Fraction) else self.mp.nstr(value, 60)
        return spread(f"{node.name}({told})", 1, 3)

    def _function(self, node: Node) -> Number:
        if node.name == "determinant":
            return determinant(tuple(tuple(map(self, row.parts)) for row in node.parts[0].parts))
        values = [self(part) for part in node.parts]
        exact = EXACT.get(node.name)
        if exact is not None:
            if any(not isinstance(value, Fraction) for value in values) and node.name in ("gcd", "lcm"):
                raise UndefinedError(node.name)
            return exact(*values)
        return self._transcendental(node.name, values)

    def _transcendental(self, name: str, values: list[Number]) -> Number:
        mp = self.mp
        self._spend(20 * self._step**1.5)
        value = self._inexact(values[0])
        if len(values) > (2 if name == "log" else 1):
            raise UndefinedError(name)
        if mp.mag(value) > 3 * LARGEST_POWER or (name == "exp" and abs(value) > 2 * LARGEST_POWER):
            raise TooBigError(name)
        if name in ("ln", "log"):
            if value == 0 or (self.real and value < 0):
                raise UndefinedError("logarithm")
            base = mp.e if name == "ln" else self._inexact(values[1]) if len(values) == 2 else mp.mpf(10)
            if base in (0, 1) or (self.real and base < 0):
                raise UndefinedError("logarithm")
            return mp.log(value) / mp.log(base)
        name = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec",
                "arccsc": "acsc"}.get(name, name)  # fmt: skip
        return getattr(mp, name)(value)


def nearly_equal(left: Number, right: Number, digits: int) -> bool:
    """Exactly where both are exact, else to all but the last 50 of the digits."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    mp = precision(digits)
    left, right = (
        mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value for value in (left, right)
    )
    return bool(abs(left - right) <= max(abs(left), abs(right)) * mp.mpf(10) ** (50 - digits))


def spread(text: str, low: int, high: int) -> Fraction:
    """A fraction between low and high that the text decides."""
    import hashlib

    steps = 9973
    place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % (steps - 1) + 1
    return low + Fraction(place, steps) * (high - low)
