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
_CODES = r"(?<=\b(?:USD|EUR|GBP|JPY|CNY|RMB|INR|CAD|AUD|CHF))|(?<=\bRs)|(?<=\bRs\.)"
_NUMBER = re.compile(
    rf"(?:(?<![A-Za-z0-9_.^])|{_CODES}){_SIGN}(?:"
    rf"(?:\d+\s*)?{_FRACTION}"
    rf"|(?:\d+{_SPACE}+)?\d+/\d+(?![\d/])"
    rf"|(?:\d+{_SPACE}?)?[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]"
    rf"|{_DECIMAL}(?:[eE][-+]?\d+(?![A-Za-z0-9])|{_TEN}|{_POWER}|{_SCALE})?"
    r")(?P<letters>[AaPp]\.[ ]?[Mm]\b|[A-Za-z_]*)"
)
_ORDINALS = ("st", "nd", "rd", "th", "ths", "kb", "mb", "gb", "tb", "pm", "am", "p.m", "a.m", "p. m", "a. m")
_PAID = re.compile(rf"(?:{_MONEY}|{_CODES})\Z")
_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "MM": "million"}
_SCALES |= {"b": "billion", "B": "billion", "bn": "billion", "T": "trillion", "tn": "trillion"}
"""Letters behind an amount of money."""
_MANY = re.compile(r"[-−]?\d(?:[\d,]*\d|[\d,]*\.\d+)")
_BEFORE, _AFTER = re.compile(r"[=+*/^(<>×·≈≤≥−-]\s*\Z"), re.compile(r"\s*[=+*/^)<>×·≈≤≥−-]")
"""What a formula has beside ``10k``, where it is a letter's multiple."""
_WIDE = {code: chr(code - 0xFEE0) for code in (0xFF0E, *range(0xFF10, 0xFF1A))}


def last_number(text: str) -> str | None:
    """The last number, without what stands between its thousands and without its unit; None if there is none.

    A number with letters right behind it counts only if they are a unit or an ordinal's: ``18m`` is 18, ``3x`` none.
    ``5 million`` and ``3万`` keep their words, which are part of the number; ``$5M`` is 5 million, and ``10k`` in prose
    is 10 thousand. ``5M`` alone may be millions as well as a concentration, and is neither.
    """
    text, found = text.translate(_WIDE), None
    for match in _NUMBER.finditer(text):
        letters = match["letters"]
        if scale := _scale(text, match):
            found = f"{match[0].removesuffix(letters)} {scale}"
        elif not letters or letters.lower() in _ORDINALS or (is_unit(letters) and letters != "M"):
            found = match[0].removesuffix(letters)
    if found is None:
        return None
    found = re.sub(_MONEY, "", found).replace("−", "-").replace(",", "").strip()
    if found.count(".") > 1 or "'" in found:
        found = re.sub(r"[.'](?=\d{3})", "", found)
    return re.sub(rf"(?<=\d){_SPACE}(?=\d{{3}}(?!\d|/))", "", found)


def _scale(text: str, match: re.Match[str]) -> str:
    """The word that the letters behind a number stand for; empty where they are none."""
    number, letters = match[0].removesuffix(match["letters"]), match["letters"]
    before = text[max(0, match.start() - 4) : match.start()]
    if re.search(_MONEY, number) or _PAID.search(before):
        return _SCALES.get(letters, "")
    formula = _BEFORE.search(before) or _AFTER.match(text, match.end())
    return "thousand" if letters == "k" and _MANY.fullmatch(number) and not formula else ""
