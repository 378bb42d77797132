"""Equations and their sides: a value and the decimal it is rounded to, a chain whose last side is its result."""

from __future__ import annotations

import re

from r1kit.answers.formula import read_formula
from r1kit.answers.kinds import Reading
from r1kit.answers.nodes import Node, TooBigError, UnreadError, is_number, symbols, walk
from r1kit.answers.same import same, value_of
from r1kit.answers.units import Quantity, split_unit

__all__ = ["as_difference", "difference", "formula_of", "read_chain", "rounds", "worth"]


def formula_of(text: str) -> Node | None:
    """The tree of a text; None if it is no formula."""
    try:
        return read_formula(text)
    except (UnreadError, TooBigError):
        return None


def rounds(exact: str, rounded: str) -> bool:
    """Whether a decimal number is what stands before it, rounded or cut off."""
    node = formula_of(exact)
    value = None if node is None else value_of(node)
    decimal = re.fullmatch(r"(-?\d+(?:\.(\d+))?)\s*(\\?%)?", rounded)
    if value is None or decimal is None:
        return False
    size, places = 100 if decimal[3] else 1, len(decimal[2] or "")
    try:
        return bool(abs(size * float(value) - float(decimal[1])) <= (10.0**-places if places else 0.5))
    except (OverflowError, TypeError):  # larger than any float, or complex
        return False


def difference(left: Node, right: Node) -> Node:
    return Node("add", (left, Node("neg", (right,))))


def read_chain(sides: list[str]) -> Reading | None:
    """5 apples of ``2 apples + 3 apples = 5 apples``, 5 of ``\\$2 + \\$3 = \\$5``, if that is so."""
    sides = [re.sub(r"\\\$(?=\s*\d)", "", side) for side in sides]
    result = split_unit(sides[-1]) or Quantity(sides[-1], "")
    unit = sides[-1].removeprefix(result.body).strip() if sides[-1].startswith(result.body) else ""
    if unit:
        written = re.compile(rf"(?<=[\d}}])\s*{re.escape(unit.removesuffix('s'))}s?(?![A-Za-z])")
        sides = [written.sub("", side) for side in sides]
    nodes = [node for node in map(formula_of, sides) if node is not None]
    if len(nodes) < len(sides) or not is_number(nodes[-1]) or not all(same(nodes[0], node) for node in nodes[1:]):
        return None
    return Reading(kind="formula", text=sides[-1], node=nodes[-1], unit=result.unit, counted=result.counted)


def worth(answer: Reading) -> Node | None:
    """The number of ``m + n = 371``, which names what was asked for; of an equation in one variable (``2x = 34``), or
    one with a number on its other side, None."""
    node = answer.node
    if answer.sign != "=" or node is None or node.kind != "add" or len(node.parts) != 2 or node.parts[1].kind != "neg":
        return None
    sides = node.parts[0], node.parts[1].parts[0]
    left, right = reversed(sides) if is_number(sides[0]) else sides
    if not is_number(right) or _holds_number(left, left.kind):
        return None
    names, parts = symbols(left), list(walk(left))
    if names and names <= {"x", "y", "z"} and any(part.kind == "number" for part in parts):
        return None  # a line, a circle
    return right if len(names) > 1 or any(part.kind == "call" for part in parts) else None


def _holds_number(node: Node, kind: str) -> bool:
    """Whether a number is a term of a sum, or a factor of a product."""
    return is_number(node) or (
        node.kind == kind in ("add", "mul") and any(_holds_number(each, kind) for each in node.parts)
    )


def as_difference(reading: Reading) -> Node | None:
    """Left side minus right side of an equation in two or more variables."""
    if reading.kind == "relation" and reading.sign == "=":
        return reading.node
    name = formula_of(reading.name) if reading.name else None
    if reading.kind != "formula" or reading.node is None or name is None or not symbols(reading.node):
        return None
    if any(part.kind not in ("symbol", "mul") for part in walk(name)):
        return None
    return Node("add", (name, Node("neg", (reading.node,))))
