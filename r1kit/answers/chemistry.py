"""Chemistry: ``\\text{H}_2\\text{O}``, ``H2O`` and ``H_2O`` are one; so are reactions, isotopes, electrons."""

from __future__ import annotations

import re

__all__ = ["same_chemical", "same_in_chemistry"]

_LAYOUT = re.compile(r"\\(?:text|mathrm|ce|rm)\s*|_(?=\s*\{?\s*\d)|[{}\s^]")
_SUBSTANCE = r"(?:[A-Z][a-z]?\d*|\((?:[A-Z][a-z]?\d*)+\)\d*)+(?:\d*[+-])?"
_CHEMICAL = re.compile(rf"(?=.*[A-Z].*[A-Z]|.*[+-]$|[A-Z][a-z]?\d+$){_SUBSTANCE}(?:\\cdot\d*(?:[A-Z][a-z]?\d*)+)?")
_RAISED = re.compile(r"\^\s*(?!\{?\s*\d*\s*[+-]\s*\}?\s*$)")
"""What is no charge."""
_ARROW = re.compile(
    r"\s*(?:-{1,2}>|=|⇌|⟶|\\(?:to|(?:long)?rightarrow|leftrightarrow|rightleftharpoons)(?![A-Za-z]))\s*"
)
_PLUS = re.compile(r"(?<!\^)(?<!\^\{)\s*\+\s*(?=[\dA-Z(e])")
_TERM = re.compile(rf"(?:\d*{_SUBSTANCE}|\d*e-)(?:\((?:aq|s|l|g)\))?")
_STATE = re.compile(r"\((?:aq|s|l|g)\)$")
_ELECTRONS = re.compile(r"(?:\[[A-Z][a-z]\])?(?:\d[spdf]\d{1,2})+|sp\d?(?:d\d?)?")
_ISOTOPE = re.compile(r"(?:\^(\d+)_(\d+)|_(\d+)\^(\d+))([A-Z][a-z]?)")


def same_chemical(one: str, other: str) -> bool:
    """Whether both are formulas of one substance, or of one ion; a power is none."""
    first = _plain(one)
    return first is not None and first == _plain(other)


def _plain(text: str) -> str | None:
    if len(text) > 80 or _RAISED.search(text):
        return None
    plain = _LAYOUT.sub("", text)
    return plain if _CHEMICAL.fullmatch(plain) else None


def same_in_chemistry(one: str, other: str) -> bool:
    """Whether both are one reaction, terms in any order; one isotope; or the same electrons (``1s^2``, ``sp^3``)."""
    if max(len(one), len(other)) > 200:
        return False
    first, second = _reaction(one), _reaction(other)
    if first and second:
        if any(not _STATE.search(term) for text in (first, second) for side in text for term in side):
            first, second = (
                [sorted(_STATE.sub("", term) for term in side) for side in text] for text in (first, second)
            )
        return first == second
    mine, its = (re.sub(r"\\(?:text|mathrm|rm)\s*|[{}\s]", "", text) for text in (one, other))
    if (isotope := _ISOTOPE.fullmatch(mine)) and (again := _ISOTOPE.fullmatch(its)):
        return _nucleus(isotope) == _nucleus(again)
    mine, its = mine.replace("^", ""), its.replace("^", "")
    return mine == its and _ELECTRONS.fullmatch(mine) is not None


def _nucleus(found: re.Match[str]) -> tuple[str, str, str]:
    return found[1] or found[4], found[2] or found[3], found[5]


def _reaction(text: str) -> list[list[str]] | None:
    """The terms of both sides, sorted; None of what is no reaction."""
    text = re.sub(r"[↑↓]|\\(?:up|down)arrow(?![A-Za-z])", "", text)
    sides = _ARROW.split(re.sub(r"\\ce\s*\{(.*)\}$", r"\1", text))
    if len(sides) != 2:
        return None
    terms = [sorted(_LAYOUT.sub("", term) for term in _PLUS.split(side)) for side in sides]
    known = all(_TERM.fullmatch(term) for side in terms for term in side)
    substances = (_STATE.sub("", term).lstrip("0123456789") for side in terms for term in side)
    return terms if known and any(map(_CHEMICAL.fullmatch, substances)) else None
