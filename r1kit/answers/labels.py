"""The letter of a choice: ``(B)``, ``Option B``, ``B. 12``, ``B - Paris``."""

from __future__ import annotations

import re

from r1kit.answers.words import FUNCTIONS, NAMES

__all__ = ["split_label"]

_WORD = rf"(?!(?:{'|'.join((*FUNCTIONS, *NAMES))})\b)(?:[A-Z][a-z]{{2}}|[a-z]{{4}}|the\b)"
_LABEL = re.compile(
    r"(?:\\text\{|\()?\s*(?P<bare>[A-J])\s*[)}]{0,2}|(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s*\(?(?P<told>[A-Ja-j])\)?"
    r"|\((?P<small>[a-j])\)|\[\s*(?P<square>[A-J])\s*\]"
)
_LABELLED = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice)\s+)?(?:\((?P<round>[A-J])\)|\\text\{\(?(?P<roman>[A-J])[.)]?\}"
    rf"|(?P<stop>[A-J])[.):](?=\s|$|\d|\$|\\)|(?P<dash>[A-J])\s+-\s+(?={_WORD}))"
    r"\s*(?P<body>[^\s+\-*/^_=<>,(].*|\s\(.*)",
    re.DOTALL,
)
_HEDGED = re.compile(
    r"^(?:and|or)\b|\b(?:and|or)\s*\(?[A-HJ]\)|^\(?[A-HJ](?:$|\s*(?:[.):,;/]|(?:and|or)\b))"
    r"|(?<![A-Za-z}])\([A-HJ]\)|(?<![A-Za-z_])(?<!\w\()(?<![A-Za-z]\.)[A-HJ][.)](?=[\s\d$\\\"'`|<\]})]|$)|[,;]\s*[A-HJ]:"
    rf"|(?:^|\s)[A-HJ]\s+-\s+(?={_WORD})"
    r"|(?:^|[^\d}\s]\s*)\\text\{\(?[A-HJ][.)]?\}|\\text\{[A-HJ][.)]?\}(?=\s*[\d$])"
    r"|^[-\d$\\].*\b(?:and|or)\s+[A-HJ]$|\b(?:answer|choice|option)(?:\s+is|:)?\s*[A-HJ]$"
)
"""A body that names further choices: ``A) B) C)``, ``A. 12/B. 13``, ``A: B or C``, ``(A) "(B)"``; I may be a number,
``f(C)`` is a value, and what follows a number in ``37^{\\circ}\\text{C}`` is a unit."""


def split_label(text: str) -> tuple[str, str]:
    """(letter, what stands behind it); no letter where there is none, or where further choices are named."""
    if label := _LABEL.fullmatch(text):
        return (label["bare"] or label["told"] or label["small"] or label["square"]).upper(), ""
    labelled = _LABELLED.fullmatch(text)
    body = labelled["body"].strip() if labelled else ""
    if not labelled or _HEDGED.search(body):
        return "", text
    return labelled["round"] or labelled["roman"] or labelled["stop"] or labelled["dash"], body
