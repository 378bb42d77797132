"""The last number of a text, as prose writes it: with a unit, as an ordinal, beside Chinese, as a fraction or power."""

from __future__ import annotations

import re

from r1kit.answers.units import is_unit
from r1kit.answers.words import MULTIPLES, POWERS

__all__ = ["last_number"]

_MONEY = r"\\?[$€£¥]"
_SIGN = rf"(?:[-−]{_MONEY}(?=[\d.])|[-−]?)"
_SPACE = "[ \u00a0\u2009\u202f]"
_GROUPS = r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:'\d{3})+"
_WHOLE = rf"(?:{_GROUPS}|\d{{1,3}}(?:{_SPACE}\d{{3}}){{2,}}|\d{{1,3}}(?:{_SPACE}000)+|\d+)(?!\d)"
_DECIMAL = rf"(?:{_WHOLE}(?:\.\d+)?|\.\d+)"
_TEN = r"\s*(?:\\times|\\cdot|[×·*x])\s*10\s*(?:\^\s*(?:\{[-−+]?\d+\}|\(?[-−+]?\d+\)?)|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
_POWER = r"(?:\s*\^\s*(?:\{[-−]?\d+\}|[-−]?\d+)|[⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
_SCALE = (
    rf"\s*(?:{'|'.join(word for word in POWERS | MULTIPLES if word.isascii())})(?![A-Za-z])|\s*(?:万亿|[十百千]?[万亿])"
)
_FRACTION = r"\\[dtc]?frac\s*(?:\{[-−]?\d+\}\s*\{[-−]?\d+\}|\d\s*\d)"
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_.^]){_SIGN}(?:"
    rf"(?:\d+\s*)?{_FRACTION}"
    rf"|(?:\d+{_SPACE}+)?\d+/\d+(?![\d/])"
    rf"|\d*[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]"
    rf"|{_DECIMAL}(?:[eE][-+]?\d+(?![A-Za-z0-9])|{_TEN}|{_POWER}|{_SCALE})?"
    r")(?P<letters>[A-Za-z_]*)"
)
_ORDINALS = ("st", "nd", "rd", "th", "pm", "am")
_WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF10, 0xFF1A)}


def last_number(text: str) -> str | None:
    """The last number, without what stands between its thousands and without its unit; None if there is none.

    A number with letters right behind it counts only if they are a unit or an ordinal's: ``18m`` is 18, ``3x`` none.
    ``5 million`` and ``3万`` keep their words, which are part of the number.
    """
    found = None
    for match in _NUMBER.finditer(text.translate(_WIDE)):
        letters = match["letters"]
        if not letters or letters in _ORDINALS or is_unit(letters):
            found = match[0].removesuffix(letters)
    if found is None:
        return None
    found = re.sub(_MONEY, "", found).replace("−", "-").replace(",", "").strip()
    if found.count(".") > 1 or "'" in found:
        found = re.sub(r"[.'](?=\d{3})", "", found)
    return re.sub(rf"(?<=\d){_SPACE}(?=\d{{3}}(?!\d|/))", "", found)
