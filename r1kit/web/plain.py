"""Text that nobody trusts, made visible: what a model wrote is shown as it is, and can neither hide nor steer."""

from __future__ import annotations

import re

__all__ = ["clip", "visible"]

_NAMES = {
    0x061C: "ALM", 0x200B: "ZWSP", 0x200E: "LRM", 0x200F: "RLM", 0x2028: "LS", 0x2029: "PS",
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
    0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM",
}  # fmt: skip
"""Marks that change the direction of what follows, break lines, or have no width."""
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Control characters as their pictures (``␛`` for ESC), direction marks by name (``⟦RLO⟧``); line ends and tabs
    stay."""
    return _HIDDEN.sub(_sign, text.replace("\r\n", "\n"))


def _sign(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"⟦{_NAMES.get(code, f'U+{code:04X}')}⟧"


def clip(text: str, most: int) -> str:
    """The first characters of a long text, and how many were left out."""
    return text if len(text) <= most else f"{text[:most]}… [{len(text) - most:,} characters more]"
