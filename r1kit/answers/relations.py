"""Equations and inequalities cut at their signs; what counts as a mere name before an equals sign."""

from __future__ import annotations

import re

from r1kit.answers.splitting import depths
from r1kit.answers.words import DENIALS, FUNCTIONS

__all__ = ["is_name", "lone_symbol", "split_relation"]

_SIGN = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|\\approx(?![A-Za-z])|[=<>]")
_SYMBOL = (
    r"(?:[A-Za-z]|\\(?!frac|sqrt|pi|infty|text|ln|lo?g|exp|abs|arc)[A-Za-z]+(?:\s*\{[A-Za-z]\})?)"
    r"'*(?:\s*_\s*(?:\{[^{}]*\}|\w))?'*"
)
_SIZE = (
    r"\\?\|\s*(?:[A-Zz]{1,3}(?:_\w)?|[A-Z]\s*\\c[au]p\s*[A-Z]"
    r"|\\(?:vec|overrightarrow|overline)\s*\{?\s*[A-Za-z]+\s*\}?)\s*\\?\|"
)
"""Of a set, a complex number, a vector; ``|x| = 5`` is an equation."""
_FUNCTION = rf"(?:{'|'.join((*FUNCTIONS, 'sqrt', 'cbrt'))})\b"
_LONE = re.compile(_SYMBOL)
_NAME = re.compile(
    rf"(?!([A-Za-z])\s*[(\[].*\1){_SYMBOL}(?:\s*\([^()=<>]{{1,20}}\)|\s*\[[^\[\]=<>]{{1,20}}\])?"
    rf"|[fgh]\s*\^\s*\{{?\s*-\s*1\s*\}}?\s*\([a-z]\)|{_SIZE}|\[\s*[A-Z]{{3,6}}\s*\]|\\det\s*[A-Z]|(?!{_FUNCTION})(?:\\text\{{)?[A-Za-z]{{3,}}\}}?\s*\([^()=<>]{{1,20}}\)"
    r"|\\(?:sin|cos|tan)\s*(?:\\angle\s*)?(?:[A-Z]{1,3}|\\(?!pi)[a-z]+)"
    rf"|\(\s*{_SYMBOL}(?:\s*,\s*{_SYMBOL})+\s*\)"
    r"|(?:\\complement\s*_\s*\{?\s*[A-Z]\s*\}?\s*)?\(?[A-Z](?:\s*\\c[au]p\s*\(?[A-Z]){1,2}\)?"
    r"|\\complement\s*_\s*\{?\s*[A-Z]\s*\}?\s*\(?[A-Z]\)?"
    r"|(?:m\s*)?\\angle\s*[A-Z]+|\|?\s*(?:\\(?:overline|vec|overrightarrow)\s*\{)?[A-Z]{2,3}\}?\s*\|?"
    r"|\\frac\s*\{\s*d[a-z]\s*\}\s*\{\s*d[a-z]\s*\}|(?:P|Pr|\\Pr|\\mathbb\{P\})\s*[(\[][^()\[\]]{1,60}[)\]]"
    r"|pO?H|pK_\{?[abw]\}?"
    r"|S_\{?[^{}]*\}?|(?:\\text\{)?[A-Za-z]{3,}(?: [A-Za-z]+){0,4}\}?"
)


def split_relation(text: str) -> tuple[list[str], list[str]]:
    """(sides, signs between them) at the signs that stand outside brackets."""
    level, sides, signs, start = depths(text), [], [], 0
    for match in _SIGN.finditer(text):
        if level[match.start()] == 0:
            sides.append(text[start : match.start()].strip())
            signs.append(match[0])
            start = match.end()
    return [*sides, text[start:].strip()], signs


def lone_symbol(text: str) -> bool:
    """One variable: ``x``, ``\\theta``, ``a_1``."""
    return bool(_LONE.fullmatch(text)) and text not in ("e", "i")


def is_name(text: str) -> bool:
    """What may stand before an equals sign without being part of the answer: ``x``, ``f(x)``, ``AB``, ``Area``; words
    that deny are no name."""
    return bool(_NAME.fullmatch(text)) and text not in ("e", "i") and DENIALS.isdisjoint(text.lower().split())
