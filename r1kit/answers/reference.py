"""References that no answer can meet, found when a task is built: missing, worked solutions, not to be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from r1kit.answers.grade import equal
from r1kit.answers.reading import read
from r1kit.answers.spelling import LONGEST

__all__ = ["Doubt", "doubt_about", "told"]

_MISSING = re.compile(r"\s*(?:nan|<na>|nat|null|none|n/a|[-+]?inf)\s*", re.IGNORECASE)
_LEGITIMATE = ("none", "None", "inf", "Inf")
"""Words that are answers in some data sets."""
_SOLUTION = re.compile(r"####")
_BOX = re.compile(r"\\(?:boxed|fbox)\b")
_PROSE = 20
"""Characters beside a box that make it a worked solution."""
SHOWN = 3
"""Lines that are named; more are counted."""


@dataclass(frozen=True, slots=True)
class Doubt:
    why: str
    hopeless: bool
    """No answer can be right; otherwise the reference is compared as text alone."""


def doubt_about(reference: str) -> Doubt | None:
    """What is wrong with a reference answer; None if nothing is."""
    stripped = reference.strip()
    if _MISSING.fullmatch(stripped) and stripped not in _LEGITIMATE:
        return Doubt(f"{stripped} stands for a missing answer", True)
    if _SOLUTION.search(reference):
        return Doubt("a worked solution with ####, not its answer", True)
    if _BOX.search(reference) and not re.match(r"[\s$]*\\(?:boxed|fbox)\b", reference) and len(stripped) > _PROSE:
        return Doubt("a worked solution with a box, not its answer", True)
    if len(reference) > LONGEST:
        return Doubt(f"longer than {LONGEST:,} characters", False)
    if read(reference).kind == "text":
        return Doubt("not readable as mathematics or words", False)
    if not all(equal(reference, other) for other in _respelled(reference)):
        return Doubt("not equal to itself in another spelling", False)
    return None


def _respelled(reference: str) -> list[str]:
    wide = re.sub(r"\s*(?<![\d\\e])([+=])\s*", r" \1 ", reference)
    return [reference.replace("\\frac", "\\dfrac"), wide, f"\\boxed{{{reference}}}"]


def told(found: Iterable[tuple[str, Doubt]], of: int) -> str:
    """One line: ``3 of 100 answers can be met by no answer: f.jsonl:4: NaN stands for a missing answer; ...``."""
    found = list(found)
    shown = "; ".join(f"{where}: {doubt.why}" for where, doubt in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    what = "can be met by no answer" if found[0][1].hopeless else "can be met by the same text alone"
    return f"{len(found)} of {of} answers {what}: {shown}{more}"
