r"""Vectors written by unit vectors, ``2\mathbf{i} - \mathbf{j}``, and as points or as matrices of one row or column."""

from __future__ import annotations

from r1kit.answers.kinds import Reading
from r1kit.answers.nodes import Node, number

__all__ = ["coordinates"]

_UNITS = {"i": 0, "j": 1, "k": 2}


def coordinates(reading: Reading) -> list[Node] | None:
    """Of a point, of a matrix of one row or column, of a sum of unit vectors; None for anything else."""
    if reading.kind == "tuple":
        nodes = [item.node for item in reading.items if item.node is not None]
        return nodes if len(nodes) == len(reading.items) and reading.brackets in ("()", "[]") else None
    node = reading.node
    if node is None or node.kind != "matrix":
        return _of_units(node) if node is not None else None
    if min(len(node.parts), len(node.parts[0].parts)) > 1:
        return None
    return [cell for row in node.parts for cell in row.parts]


def _of_units(node: Node) -> list[Node] | None:
    """``[2, -1]`` of ``2i - j``, ``[0, 1, 3]`` of ``j + 3k``; each unit once, two of them at least."""
    found: dict[int, Node] = {}
    for term in node.parts if node.kind == "add" else ():
        minus = term.kind == "neg"
        inner = term.parts[0] if minus else term
        factor, unit = inner.parts if inner.kind == "mul" and len(inner.parts) == 2 else (number(1), inner)
        place = _UNITS.get(unit.name, 3) if unit.kind in ("constant", "symbol") else 3
        if factor.kind == "neg":
            minus, factor = not minus, factor.parts[0]
        if place == 3 or place in found:
            return None
        found[place] = (
            (number(-factor.value) if factor.kind == "number" else Node("neg", (factor,))) if minus else factor
        )
    return [found.get(place, number(0)) for place in range(max(found) + 1)] if len(found) > 1 else None
