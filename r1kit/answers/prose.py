"""Words that lead in to an answer: ``So the final answer is``, ``Answer:``, ``答案是``."""

from __future__ import annotations

import re

from r1kit.answers.words import DENIALS

__all__ = ["without_lead"]

_LEAD = re.compile(
    r"(?P<words>(?:[A-Za-z][A-Za-z'-]*,?\s+){0,9}?[A-Za-z][A-Za-z'-]*)\s*"
    r"(?:\b(?:is|are|equals|was|be|becomes|gives|get|obtain|have)\b\s*(?:equal to\b|exactly\b|:)?|(?P<colon>:))\s*"
    r"(?P<rest>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_LONGEST_LEAD = 80
"""Characters."""
_CONNECTIVE = re.compile(r"^(?:so|hence|thus|therefore|finally|consequently)\b[,:]?\s+", re.IGNORECASE)
_TRAIL = re.compile(r"\s+is (?:the|my) (?:final |correct )?answer$", re.IGNORECASE)
_CHINESE = re.compile(
    r"[^\d\\A-Za-z$({\[不非没]{0,12}?(?:答案|结果|答|故选|应选|选择|选项|选|等于|一共有|一共|共有|共|总计)"
    r"(?:[是为选有:,\s]|等于|应该|应)*(?P<rest>[^\s].*)",
    re.DOTALL,
)


def without_lead(text: str) -> str:
    """What follows words that lead in to it; the text itself where there are none or they deny."""
    text = _TRAIL.sub("", _CONNECTIVE.sub("", text))
    chinese = _CHINESE.fullmatch(text)
    if chinese:
        return str(chinese["rest"])
    found = _LEAD.match(text[: _LONGEST_LEAD + 1]) and _LEAD.fullmatch(text)
    if not found or len(text) - len(found["rest"]) > _LONGEST_LEAD:
        return text
    words = [word.strip(",").lower() for word in found["words"].split()]
    if not DENIALS.isdisjoint(words) or max(map(len, words)) < (3 if found["colon"] else 2):
        return text
    if re.match(
        r"(?:not|never|either|neither|no|between|less|more|at)\b(?! (?:real )?solution)", found["rest"], re.IGNORECASE
    ):
        return text
    return str(found["rest"])
