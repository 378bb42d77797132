"""Plain LaTeX, or a formula typed as text, cut into tokens. No meaning yet, but for the names of functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from r1kit.answers.nodes import TooBigError, UnreadError
from r1kit.answers.words import DENIALS, FUNCTIONS, NAMES

__all__ = ["Token", "decimal", "tokens"]

Kind = Literal["number", "letter", "command", "sign"]
MOST_TOKENS = 300
LARGEST_EXPONENT = 5000
"""Of ``1e5000``."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """A command without its backslash."""
    spaced: bool
    """Whether a space stands before it."""
    value: Fraction = Fraction(0)


_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<repeating>\d*\.\d*(?:\\overline\s*\{\d+\}|\(\d+\)|(?:\\dot\s*\{?\d\}?\d*)+)|\d*\.\d+\s*(?:\.\.\.|\\ldots))"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?)"
    r"|_\s*\{\s*(?P<subscript>[A-Za-z]{2,})\s*\}"
    r"|\\(?P<command>[A-Za-z]+)"
    r"|(?P<letters>[A-Za-z]+)"
    r"|(?P<sign>\\[{}|%$#&_\\]|\*\*|''?|[-+*/^_!()\[\]{}|%&,=<>])"
)
_ALPHABETS = "abcdefghijklmnopqrstuvwxyz"


def tokens(text: str) -> list[Token]:
    """Raises UnreadError for what is no formula: words, signs without a meaning here, too many tokens."""
    found: list[Token] = []
    place, spaced = 0, False
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or len(found) > MOST_TOKENS:
            raise UnreadError(text[place : place + 1])
        place = match.end()
        kind = match.lastgroup
        if kind == "space":
            spaced = True
            continue
        if kind == "number":
            found.append(Token("number", match[0], spaced, decimal(match[0])))
        elif kind == "repeating":
            found.append(Token("number", match[0], spaced, _repeating(match[0])))
        elif kind == "subscript":
            found += [Token("sign", "_", spaced), Token("letter", match["subscript"], False)]
        elif kind == "command":
            found.append(Token("command", match["command"], spaced))
        elif kind == "letters":
            found += _letters(match[0], spaced)
        else:
            found.append(Token("sign", {"**": "^", "\\%": "%", "\\|": "|"}.get(match[0], match[0]), spaced))
        spaced = False
    return found


def decimal(text: str) -> Fraction:
    """``2.5e-3`` exactly."""
    body, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:8])) > LARGEST_EXPONENT:
        raise TooBigError(text)
    return Fraction(body if body[-1:] != "." else body[:-1]) * Fraction(10) ** int(exponent or 0)


def _letters(run: str, spaced: bool) -> list[Token]:
    """A run of letters: a function, a Greek letter, or a product of single letters.

    Raises:
        UnreadError: a word.
    """
    if run in FUNCTIONS or run in NAMES:
        return [Token("command", NAMES.get(run, run), spaced)]
    if run in ("floor", "ceil"):
        return [Token("command", run, spaced)]
    for name in ("sin", "cos", "tan", "log", "ln", "pi", "sqrt"):
        rest = run.removeprefix(name)
        if rest != run and len(rest) == 1 and rest in "xyzr":
            return [Token("command", NAMES.get(name, name), spaced), Token("letter", rest, False)]
    if run.endswith("pi") and len(run) <= 4:
        return [*(Token("letter", one, spaced) for one in run[:-2]), Token("command", "pi", False)]
    if (len(run) > 3 and run.lower() not in _ALPHABETS) or run.lower() in DENIALS:
        raise UnreadError(run)
    return [Token("letter", one, spaced and place == 0) for place, one in enumerate(run)]


_PARTS = re.compile(r"(?P<whole>\d*)\.(?P<fixed>\d*)(?P<rest>.*)")


def _repeating(text: str) -> Fraction:
    """``0.1\\overline{6}``, ``0.(6)``, ``0.\\dot{6}``, and ``0.666...`` where a block stands there at least twice."""
    parts = _PARTS.fullmatch(text)
    assert parts is not None
    fixed, block = parts["fixed"], re.sub(r"\D", "", parts["rest"])
    if "ldots" in parts["rest"] or ".." in parts["rest"]:
        shown = re.fullmatch(r"(?P<fixed>\d*?)(?P<block>\d+?)(?P=block)+", fixed)
        if shown is None:
            raise UnreadError(text)
        fixed, block = shown["fixed"], shown["block"]
    value = Fraction(int(parts["whole"] + fixed or 0), 10 ** len(fixed))
    return value + Fraction(int(block), (10 ** len(block) - 1) * 10 ** len(fixed))
