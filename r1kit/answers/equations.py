"""What an equation is worth as an answer, and what it says as a difference of its sides."""

from __future__ import annotations

from r1kit.answers.chains import formula_of
from r1kit.answers.kinds import Reading
from r1kit.answers.nodes import Node, is_number, symbols, walk

__all__ = ["as_difference", "worth"]


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
