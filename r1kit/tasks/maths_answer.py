r"""Are two short answers equal as mathematics? ``math-verify`` decides where both are one formula each.

What this does not cover: a formula inside prose (``the answer is 7``), a unit after a number (``3 cm``), function names
without a backslash (``sqrt(2)``). Those are compared as text. An answer that offers two values is never split.
``math-verify``'s own time limits use SIGALRM, which works on a main thread only and may fire inside a finaliser; they
are turned off, so call this where a deadline is kept from outside: the verifier process.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from r1kit.tasks.split import evened

__all__ = ["canonical_maths", "equal_maths", "plain_text"]

_WRAPPERS = (
    re.compile(r"\$\$(.*)\$\$", re.DOTALL),
    re.compile(r"\$(.*)\$", re.DOTALL),
    re.compile(r"\\\((.*)\\\)", re.DOTALL),
    re.compile(r"\\\[(.*)\\\]", re.DOTALL),
    re.compile(r"\\boxed\{(.*)\}", re.DOTALL),
)
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,40})?")
_NUMBER = re.compile(rf"{_DECIMAL.pattern}|[+-]?[0-9]+/[0-9]+|[+-]?\\[dt]?frac\{{[0-9]+\}}\{{[0-9]+\}}")
_SUM = re.compile(r"[^\s={(^]\s*[-+]|\*|\\cdot|\\times(?!\s*10\s*\^)|×(?!\s*10\s*\^)")
"""A sign that follows something, or a product that is no power of ten."""
_NAMED = re.compile(r"[A-Za-z]\s*=\s*(.*)", re.DOTALL)
_LONGEST = 500
"""Characters beyond which an answer is not parsed."""


def plain_text(text: str) -> str:
    r"""Text for comparison by equality: no ``\text{}`` and dollar signs, NFKC, one space, case folded, no last stop."""
    return evened(_TEXT.sub(r"\1", _unwrapped(text))).rstrip(".")


def equal_maths(reference: str, answer: str) -> bool:
    """Whether an answer equals the reference: as formulas where both are, else as text.

    Where the reference is a number, an answer that leaves a sum or a product to be worked out is wrong: otherwise
    repeating the question ``6 + 1`` would answer it. Fractions, powers and ``3 \\times 10^5`` are numbers.
    """
    if plain_text(reference) == plain_text(answer):
        return True
    if _NUMBER.fullmatch(_unwrapped(reference)) and _SUM.search(_unwrapped(answer)):
        return False
    gold, given = _formula(reference), _formula(answer)
    if gold is None or given is None:
        return False
    from math_verify import verify  # type: ignore[import-untyped]

    _quieten()
    return bool(verify(gold, given, timeout_seconds=None))


def canonical_maths(text: str) -> str:
    """A form for voting: decimals as reduced fractions, other formulas as sympy writes them, the rest as text.

    ``x = 5`` votes with ``5``. Not simplified: ``x + x`` and ``2 x`` are different votes.
    """
    named = _NAMED.fullmatch(_unwrapped(text))
    body = named[1] if named else _unwrapped(text)
    if _DECIMAL.fullmatch(body):
        return str(Fraction(body.replace(",", "")))
    formula = _formula(text)
    return plain_text(text) if formula is None else str(formula[0])


def _unwrapped(text: str) -> str:
    """Without a last stop and the dollar signs, brackets or box around the whole."""
    text = text.strip().removesuffix(".").rstrip()
    for wrapper in _WRAPPERS:
        found = wrapper.fullmatch(text)
        if found and "$" not in found[1]:
            return _unwrapped(found[1])
    return text


def _formula(text: str) -> Sequence[Any] | None:
    """What math-verify makes of a text that is one formula and nothing else; None if it is not."""
    body = _unwrapped(text)
    if not body or len(body) > _LONGEST or "$" in body or "\n" in body or _WORD.search(_COMMAND.sub(" ", body)):
        return None
    from math_verify import LatexExtractionConfig, parse

    _quieten()
    found: Sequence[Any] = parse(
        f"${body}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
    )
    return found or None


def _quieten() -> None:
    """math-verify warns once that its time limits are off; they are off on purpose."""
    for module in ("parser", "grader"):
        logging.getLogger(f"math_verify.{module}").setLevel(logging.ERROR)
