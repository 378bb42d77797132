"""References that no answer can meet, or only the same text: missing ones, worked solutions, what cannot be read."""

from __future__ import annotations

import re

from r1kit.answers.grade import equal
from r1kit.answers.reading import read
from r1kit.answers.spelling import LONGEST

__all__ = ["doubt_about", "hopeless"]

_MISSING = re.compile(r"[-+]?nan|<na>|nat|null|n/a|\[\]", re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_ONE_BOX = re.compile(r"[\s$.]*\\(?:boxed|fbox)\s*\{[^\n]*\}[\s$.]*|[\s$]*\\(?:boxed|fbox)\s+\S+[\s$.]*")


def hopeless(reference: str) -> str:
    """Why no answer can be right by this reference; empty if one can."""
    stripped = reference.strip()
    if _MISSING.fullmatch(stripped):
        return f"{stripped} stands for a missing answer"
    if "####" in reference:
        return "a worked solution with ####, not its answer"
    if _BOX.search(reference) and not _ONE_BOX.fullmatch(reference):
        return "a worked solution with a box, not its answer"
    return ""


def doubt_about(reference: str) -> str:
    """Why only the same text can be right; empty if the reference is read and equals itself in other spellings."""
    if len(reference) > LONGEST:
        return f"longer than {LONGEST:,} characters"
    if read(reference).kind == "text":
        return "not read as mathematics or words"
    if not all(equal(reference, other) for other in _respelled(reference)):
        return "not equal to itself in another spelling"
    return ""


def _respelled(reference: str) -> list[str]:
    wide = re.sub(r"\s*(?<![\d\\eE])([+=])\s*", r" \1 ", reference)
    return [reference.replace("\\frac", "\\dfrac"), wide, f"\\boxed{{{reference}}}"]
