r"""The door of the room: is an answer right, and which answers are one vote?

unwrap and respell (``spelling.py``) -> read (``reading.py``) -> compare (``compare.py``). Pure, deterministic, no time
limit needed: lengths, depths, powers and sums are bounded before anything is computed.

Integrals and limits are compared as what math-verify reads (``library.py``). What this does not cover: logic is
compared as text; ``1.5 m`` is not ``150 cm``; an inequality that is not solved for its variable is not solved here.
"""

from __future__ import annotations

from functools import lru_cache

from r1kit.answers.compare import agrees
from r1kit.answers.fingerprints import canonical_reading
from r1kit.answers.reading import read

__all__ = ["canonical", "equal", "vote"]


@lru_cache(maxsize=4096)
def equal(reference: str, answer: str) -> bool:
    """Whether an answer says what the reference says."""
    try:
        return bool(answer.strip()) and _equal(reference, answer)
    except RecursionError:  # only where the caller left little of the stack
        return False


def _equal(reference: str, answer: str) -> bool:
    wanted, given = read(reference), read(answer)
    if wanted.text and (wanted.text, wanted.label) == (given.text, given.label):
        return True
    if agrees(wanted, given):
        return True
    if wanted.kind in ("list", "set") and given.kind not in ("list", "set") and "," in answer:
        return agrees(wanted, read(answer, thousands=False))
    return False


def canonical(answer: str) -> str:
    """A form in which equal answers are equal strings: ``1/2`` for ``0.50``, ``5`` for ``x = 5``."""
    try:
        return canonical_reading(read(answer))
    except RecursionError:
        return " ".join(answer.split())


def vote(reference: str, answer: str, right: bool) -> str:
    """The class of an answer among all answers to one question: right ones are one, whatever their spelling; one that
    was judged wrong is never among them (a sum left to be worked out, another unit)."""
    form = canonical(reference if right else answer)
    return f"{form} (as {read(answer).text})" if not right and form == canonical(reference) else form
