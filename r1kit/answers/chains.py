"""The sides of equations: a value and the decimal it is rounded to, a chain whose last side is its result."""

from __future__ import annotations

import re

from r1kit.answers.formula import read_formula
from r1kit.answers.kinds import Reading
from r1kit.answers.nodes import Node, TooBigError, UnreadError, is_number
from r1kit.answers.same import same, value_of
from r1kit.answers.units import Quantity, split_unit

__all__ = ["difference", "formula_of", "read_chain", "rounds"]


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
