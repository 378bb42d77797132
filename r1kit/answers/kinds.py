"""What an answer can be: a formula with or without a unit, a list, a set, a point, a range, a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from r1kit.answers.nodes import Node
from r1kit.answers.ranges import Range

__all__ = ["Kind", "Reading"]

Kind = Literal["formula", "list", "set", "tuple", "range", "relation", "word", "choice", "empty", "ratio", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    kind: Kind
    text: str
    """As it was respelled."""
    node: Node | None = None
    """Of a formula; of a relation, left side minus right side."""
    unit: str = ""
    counted: bool = False
    """The unit is a plain noun."""
    whole: Node | None = None
    """Where there is a unit: the text as one formula, the unit's letters as variables."""
    meant: tuple[Reading, ...] = ()
    """What else letters behind a number may say: ``10 s`` seconds, ``5k`` thousands."""
    items: tuple[Reading, ...] = ()
    brackets: str = ""
    """Of a tuple: ``()``, ``[)``."""
    name: str = ""
    """What stood before an equals sign: ``x``, ``f(x)``."""
    sign: str = ""
    """Of a relation: ``=``, ``<``, ``\\le``, ``\\ne``."""
    ranges: tuple[Range, ...] = ()
    rounded: str = ""
    """A decimal number that stood behind the value: of ``\\frac{1}{3} \\approx 0.33``."""
    label: str = ""
    """The letter of a choice."""
