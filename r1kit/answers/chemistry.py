"""Chemical formulas: ``\\text{H}_2\\text{O}``, ``H2O`` and ``H_2O`` are one."""

from __future__ import annotations

import re

__all__ = ["same_chemical"]

_LAYOUT = re.compile(r"\\(?:text|mathrm|ce|rm)\s*|_(?=\s*\{?\s*\d)|[{}\s^]")
_CHEMICAL = re.compile(
    r"(?=.*[A-Z].*[A-Z]|.*[+-]$|[A-Z][a-z]?\d+$)(?:[A-Z][a-z]?\d*|\((?:[A-Z][a-z]?\d*)+\)\d*)+(\d*[+-])?"
)
_RAISED = re.compile(r"\^\s*(?!\{?\s*\d*\s*[+-]\s*\}?\s*$)")
"""What is no charge."""


def same_chemical(one: str, other: str) -> bool:
    """Whether both are formulas of one substance, or of one ion; a power is none."""
    first = _plain(one)
    return first is not None and first == _plain(other)


def _plain(text: str) -> str | None:
    if len(text) > 80 or _RAISED.search(text):
        return None
    plain = _LAYOUT.sub("", text)
    return plain if _CHEMICAL.fullmatch(plain) else None
