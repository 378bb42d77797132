"""A formula as a tree. Frozen, so that equal trees are equal values and can be remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Node", "TooBigError", "UndefinedError", "UnreadError", "is_number", "is_worked_out", "number", "symbols"]


class UnreadError(ValueError):
    """A text that is no formula of the grammar."""


class TooBigError(ValueError):
    """A number too large to be written out."""


class UndefinedError(ValueError):
    """No value: a division by zero, the logarithm of a negative number."""


@dataclass(frozen=True, slots=True)
class Node:
    kind: str
    """``number``, ``symbol``, ``constant`` (pi, e, i), ``infinity``; ``add``, ``mul``, ``div``, ``pow``, ``neg``;
    ``scientific`` (3 times 10 to the 5), ``mixed`` (2 1/4), ``percent``, ``degree``, ``factorial``, ``binomial``,
    ``root`` (of, degree), ``function``, ``call`` (f(x)), ``sum``, ``prod``, ``based`` (63 in base 8), ``matrix``,
    ``row``."""
    parts: tuple[Node, ...] = ()
    name: str = ""
    """Of a symbol, constant, function; the digits of a based number."""
    value: Fraction = Fraction(0)
    """Of a number."""


def number(value: int | Fraction) -> Node:
    return Node("number", value=Fraction(value))


def symbols(node: Node) -> frozenset[str]:
    """Names of the variables that a value depends on."""
    if node.kind == "symbol":
        return frozenset((node.name,))
    inner = frozenset().union(*map(symbols, node.parts)) if node.parts else frozenset()
    return inner - {node.name} if node.kind in ("sum", "prod") else inner


def walk(node: Node) -> Iterator[Node]:
    yield node
    for part in node.parts:
        yield from walk(part)


def is_number(node: Node) -> bool:
    """A number as one writes it down: ``-3``, ``0.5``, ``3/4``, ``2 1/4``, ``25%``."""
    if node.kind in ("neg", "percent"):
        return is_number(node.parts[0])
    if node.kind == "div":
        return all(part.kind == "number" or _is_negative(part) for part in node.parts)
    return node.kind in ("number", "mixed")


def _is_negative(node: Node) -> bool:
    return node.kind == "neg" and node.parts[0].kind == "number"


def is_worked_out(node: Node) -> bool:
    """A number in which no sum, product or function is left to be worked out; fractions, powers, factorials and
    products of factorials may stand."""
    if node.kind in ("number", "mixed", "scientific"):
        return True
    if node.kind in ("neg", "div", "pow", "percent", "factorial", "binomial"):
        return all(map(is_worked_out, node.parts))
    return _is_of_factorials(node)


def _is_of_factorials(node: Node) -> bool:
    if node.kind == "mul":
        return all(map(_is_of_factorials, node.parts))
    return node.kind == "factorial" and is_worked_out(node)
