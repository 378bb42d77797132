"""Canonical forms of readings: answers of one class have one string."""

from __future__ import annotations

import re

from r1kit.answers.kinds import Reading
from r1kit.answers.nodes import Node
from r1kit.answers.polynomial import spelled_polynomial
from r1kit.answers.ranges import Range
from r1kit.answers.same import fingerprint
from r1kit.answers.words import VERDICTS

__all__ = ["canonical_reading"]


def canonical_reading(reading: Reading) -> str:
    """Names before an equals sign, plain nouns and currencies after a number are left out, other units are kept."""
    if reading.kind == "choice" or (reading.label and reading.kind == "text"):
        return reading.label
    if reading.kind == "formula" and reading.node is not None:
        unit = "" if reading.counted or reading.unit in _UNSAID else f" {reading.unit}"
        return _node(reading.node) + unit
    if reading.kind == "range":
        return " u ".join(sorted(map(_range, reading.ranges)))
    if reading.kind in ("list", "set"):
        return ", ".join(sorted(set(map(canonical_reading, reading.items))))
    if reading.kind == "ratio" and reading.items:
        return ":".join(map(canonical_reading, reading.items))
    if reading.kind == "tuple":
        return f"{', '.join(map(canonical_reading, reading.items))}".join(reading.brackets)
    if reading.kind == "relation" and reading.node is not None:
        return f"{_node(reading.node)} {reading.sign} 0"
    if reading.kind == "empty":
        return "{}"
    if "\\" in reading.text:
        return re.sub(r"\s*([,=+])\s*", r"\1", reading.text)
    said = " ".join(reading.text.casefold().split())
    return VERDICTS.get(said, said)


_UNSAID = ("", "dollar", "euro", "gbp", "yuan", "peso", "won", "deg")


def _node(node: Node) -> str:
    return spelled_polynomial(node) or fingerprint(node)


def _range(one: Range) -> str:
    return f"{'[' if one.low_closed else '('}{_node(one.low)}, {_node(one.high)}{']' if one.high_closed else ')'}"
