r"""The door of the room: is an answer right, and which answers are one vote?

unwrap and respell (``spelling.py``) -> read (``reading.py``) -> compare (``compare.py``). Pure, deterministic, no time
limit needed: lengths, depths, powers and sums are bounded before anything is computed.

Integrals and limits are compared as what math-verify reads (``library.py``). What this does not cover: logic is
compared as text; an inequality that is not solved for its variable is not solved here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from r1kit.answers.compare import agrees
from r1kit.answers.kinds import Reading
from r1kit.answers.nodes import Node
from r1kit.answers.polynomial import spelled_polynomial
from r1kit.answers.prose import shown
from r1kit.answers.ranges import Range
from r1kit.answers.reading import read
from r1kit.answers.same import fingerprint
from r1kit.answers.spelling import LONGEST, respelled
from r1kit.answers.words import VERDICTS

__all__ = ["canonical", "canonical_reading", "equal", "vote"]


def canonical_reading(reading: Reading) -> str:
    """Names before an equals sign, plain nouns and currencies after a number are left out, other units are kept."""
    if reading.kind == "choice" or (reading.label and reading.kind == "text"):
        return reading.label
    if reading.kind == "formula" and reading.node is not None:
        unit = "" if reading.counted or reading.unit in _UNSAID else f" {reading.unit}"
        return _node(reading.node) + unit
    if reading.kind == "range":
        return " u ".join(sorted(map(_range, reading.ranges)))
    if reading.kind in ("list", "set"):
        return ", ".join(sorted(set(map(canonical_reading, reading.items))))
    if reading.kind == "ratio" and reading.items:
        return ":".join(map(canonical_reading, reading.items))
    if reading.kind == "tuple":
        return f"{', '.join(map(canonical_reading, reading.items))}".join(reading.brackets)
    if reading.kind == "relation" and reading.node is not None:
        return f"{_node(reading.node)} {reading.sign} 0"
    if reading.kind == "empty":
        return "{}"
    if "\\" in reading.text:
        return re.sub(r"\s*([,=+])\s*", r"\1", reading.text)
    said = " ".join(reading.text.casefold().split())
    return VERDICTS.get(said, said)


_UNSAID = ("", "dollar", "euro", "gbp", "yuan", "peso", "won", "deg")


def _node(node: Node) -> str:
    return spelled_polynomial(node) or fingerprint(node)


def _range(one: Range) -> str:
    return f"{'[' if one.low_closed else '('}{_node(one.low)}, {_node(one.high)}{']' if one.high_closed else ')'}"


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
    if wanted.rounded or given.rounded:
        return agrees(*(read(one.rounded) if one.rounded else one for one in (wanted, given)))
    if (box := shown(answer)) and _equal(reference, box):
        return True
    if (renamed := _renamed(reference, answer)) is not None:
        return agrees(wanted, read(renamed))
    if wanted.kind == "formula" and (lakhs := _LAKHS.search(answer)):
        return agrees(wanted, read(answer.replace(lakhs[0], lakhs[0].replace(",", ""))))
    if wanted.kind in ("list", "set") and given.kind not in ("list", "set") and "," in answer:
        return agrees(wanted, read(answer, thousands=False))
    return False


_BOUND = tuple(
    re.compile(pattern)
    for pattern in (
        r"([a-z])\s*\\in\s*\\mathbb\{Z\}",
        r"^[A-Za-z]\(([a-z])\)\s*=",
        r"^[A-Za-z]\s*_\s*\{?\s*([a-z])\s*\}?\s*=",
        r"\\(?:sum|prod)\s*_\s*\{\s*([a-z])\s*=",
        r"\\lim\s*_\s*\{\s*([a-z])\s*\\(?:to|rightarrow)",
        r"^\\?\{\s*([a-z])\s*(?:\\in\s*\\mathbb\{[A-Z]\})?\s*[|:]",
        r"^(?!.*(?<![A-Za-z\\])[ab](?![A-Za-z])).*\+\s*([cC])$",
        r"^[a-z](?:\([a-z]\))?\s*=.*(?<![A-Za-z\\])([cC])\s*_",
    )
)
"""Letters that may be any other; the last two are constants of integration."""
_LAKHS = re.compile(r"(?<![\d.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")


def _renamed(reference: str, answer: str) -> str | None:
    r"""``n\pi, n \in \mathbb{Z}`` by the reference's letter: ``k\pi, k \in \mathbb{Z}``; None where both agree."""
    if max(len(reference), len(answer)) > LONGEST:
        return None
    one, other = respelled(reference), respelled(answer)
    for bound in _BOUND:
        mine, its = (set(bound.findall(text)) for text in (one, other))
        if len(mine) == len(its) == 1 and mine != its:
            name, new = its.pop(), mine.pop()
            if re.search(rf"(?<![A-Za-z\\]){new}(?![A-Za-z])", other):
                return None
            return re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", new, other)
    return None


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
