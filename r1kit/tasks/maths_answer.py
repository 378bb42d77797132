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
_LONGEST = 500
"""Characters beyond which an answer is not parsed."""


def plain_text(text: str) -> str:
    r"""Text for comparison by equality: no ``\text{}`` and dollar signs, NFKC, one space, case folded, no last stop."""
    return evened(_TEXT.sub(r"\1", _unwrapped(text))).rstrip(".")


def equal_maths(reference: str, answer: str) -> bool:
    """Whether an answer equals the reference: as formulas where both are, else as text."""
    if plain_text(reference) == plain_text(answer):
        return True
    gold, given = _formula(reference), _formula(answer)
    if gold is None or given is None:
        return False
    from math_verify import verify

    _quieten()
    return bool(verify(gold, given, timeout_seconds=None))


def canonical_maths(text: str) -> str:
    """A form for voting: decimals as reduced fractions, other formulas as sympy writes them, the rest as text.

    Not simplified: ``x + x`` and ``2 x`` are different votes.
    """
    body = _unwrapped(text)
    if _DECIMAL.fullmatch(body):
        return str(Fraction(body.replace(",", "")))
    formula = _formula(text)
    return plain_text(text) if formula is None else str(formula[0])


def _unwrapped(text: str) -> str:
    """Without the dollar signs, brackets or box around the whole."""
    text = text.strip()
    for wrapper in _WRAPPERS:
        found = wrapper.fullmatch(text)
        if found and "$" not in found[1]:
            return _unwrapped(found[1])
    return text.removesuffix(".").rstrip()


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
