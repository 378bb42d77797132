"""A polynomial with fractions as coefficients, written out: ``x**2 + 2*x*y + y**2`` whatever it was written as."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from r1kit.answers.nodes import Node

__all__ = ["spelled_polynomial"]

MOST_TERMS = 60
LARGEST_DEGREE = 12
_Monomial = tuple[tuple[str, int], ...]
_Terms = dict[_Monomial, Fraction]


def spelled_polynomial(node: Node) -> str | None:
    """None for what is no polynomial, and for one with many terms."""
    terms = _terms(node)
    if terms is None or not any(terms.keys()):
        return None
    order = sorted(terms, key=lambda one: (-sum(power for _, power in one), [(name, -power) for name, power in one]))
    text = ""
    for monomial in order:
        value = terms[monomial]
        sign = ("-" if value < 0 else "") if not text else (" - " if value < 0 else " + ")
        text += sign + _spelled(abs(value), monomial)
    return text


def _spelled(value: Fraction, monomial: _Monomial) -> str:
    factors = [name if power == 1 else f"{name}**{power}" for name, power in monomial]
    return "*".join([str(value), *factors] if value != 1 or not factors else factors)


def _terms(node: Node) -> _Terms | None:
    """Monomial -> coefficient, without zeros."""
    if node.kind == "number":
        return {(): node.value} if node.value else {}
    if node.kind == "symbol":
        return {((node.name, 1),): Fraction(1)}
    if node.kind not in ("add", "mul", "neg", "div", "pow", "mixed", "scientific"):
        return None
    parts = [_terms(part) for part in node.parts]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return _combined(node.kind, known)


def _combined(kind: str, known: list[_Terms]) -> _Terms | None:
    if kind in ("add", "mixed"):
        total: _Terms = {}
        for part in known:
            total = _sum(total, part)
        return total if len(total) <= MOST_TERMS else None
    if kind == "neg":
        return {monomial: -value for monomial, value in known[0].items()}
    if kind in ("mul", "scientific"):
        return _product(*known)
    below = known[1].get((), Fraction(0))
    if set(known[1]) - {()}:
        return None
    if kind == "div":
        return None if below == 0 else {monomial: value / below for monomial, value in known[0].items()}
    if below.denominator != 1 or not 0 <= below <= LARGEST_DEGREE:
        return None
    power: _Terms | None = {(): Fraction(1)}
    for _ in range(int(below)):
        power = None if power is None else _product(power, known[0])
    return power


def _sum(left: Mapping[_Monomial, Fraction], right: Mapping[_Monomial, Fraction]) -> _Terms:
    total = {key: left.get(key, Fraction(0)) + right.get(key, Fraction(0)) for key in {**left, **right}}
    return {key: value for key, value in total.items() if value}


def _product(left: _Terms, right: _Terms) -> _Terms | None:
    total: _Terms = {}
    for one, value in left.items():
        for other, factor in right.items():
            powers = dict(one)
            for name, power in other:
                powers[name] = powers.get(name, 0) + power
            if sum(powers.values()) > LARGEST_DEGREE:
                return None
            total = _sum(total, {tuple(sorted(powers.items())): value * factor})
            if len(total) > MOST_TERMS:
                return None
    return total
