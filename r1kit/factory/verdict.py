"""Read a judge's verdict out of what it wrote: forgiving about JSON, strict about whose verdict it is.

Forgiven: backslashes of LaTeX, line breaks and quotation marks within a text, ``true`` and ``false``, a trailing comma,
a fence around it, text that was cut after the verdict. Not forgiven: a verdict that stands in the analysis, or in text
that the judge quotes, is none; and where more than one reading is left and they disagree, there is no verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Verdict", "read_verdict"]

_TRIES = 200
"""Opening braces that are looked at."""
_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
_SAID = re.compile(
    r"""(?<!\\)["'“”]correctness["'“”]\s{0,20}:\s{0,20}(?:(["'“”])\s{0,20}(in)?correct\s{0,20}\.?["'“”]|["']?(true|false)\b["']?)""",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"""\{\s*["'“]\w{1,40}["'”]\s*:""")
"""An object, whatever it holds."""
_ENDS = re.compile(r"\s*,?\s*(?:\}|\Z)")
_WORDS = {"correct": True, "true": True, "incorrect": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    correct: bool
    analysis: str = ""


def read_verdict(text: str) -> Verdict | None:
    """The verdict: the key ``correctness`` of the last outermost JSON object; None if there is none.

    An object within another, or within a text of it, is never looked at. None too if keys, objects or what stands
    after them say both: of two objects that disagree the later counts if it has an analysis, or if the
    earlier has none and something is said between them.
    """
    if text.lstrip().startswith("<think>"):
        text = text.partition("</think>")[2]
    text = _ESCAPE.sub(lambda match: match[0] if match[1] else "\\\\", text)
    found: Verdict | None = None
    after = 0
    decoder, at, tries = json.JSONDecoder(object_pairs_hook=_Pairs, strict=False), text.find("{"), _TRIES
    while at >= 0 and tries:
        tries -= 1
        try:
            table, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            if _BEGINS.match(text, at):
                return _broken(decoder, text, at)
            at = text.find("{", at + 1)
            continue
        said = _of_object(table)
        if said == "both":
            return None
        if isinstance(said, Verdict):
            unsaid = found and (found.analysis or not text[after:at].strip())
            if found and unsaid and found.correct != said.correct and not said.analysis:
                return None
            found, after = said, end
        at = text.find("{", end)
    if found and any(_meant(match) != found.correct for match in _SAID.finditer(text, after)):
        return None
    return found


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys in order, equal ones kept."""


def _of_object(table: Any) -> Verdict | str:
    said = {_word(value) for key, value in table if key.strip().lower() == "correctness"} - {None}
    if len(said) != 1:
        return "both" if said else ""
    analysis = "".join(str(value) for key, value in table if key.strip().lower() == "analysis")
    return Verdict(correct=bool(said.pop()), analysis=analysis)


def _word(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return _WORDS.get(value.strip().rstrip(".").lower()) if isinstance(value, str) else None


def _meant(match: re.Match[str]) -> bool:
    return match[3].lower() == "true" if match[3] else match[2] is None


def _broken(decoder: json.JSONDecoder, text: str, at: int) -> Verdict | None:
    """Of an object that is not JSON, from its brace to the end of the text.

    What counts is a key before which all is JSON (the text was cut after it), and one that ends the object.
    """
    matches = list(_SAID.finditer(text, at))
    counted = [match for match in matches if _leads(decoder, text, at, match) or _closes(text, match, matches)]
    said = {_meant(match) for match in counted}
    return Verdict(correct=said.pop()) if len(said) == 1 else None


def _leads(decoder: json.JSONDecoder, text: str, at: int, match: re.Match[str]) -> bool:
    try:
        table, _ = decoder.raw_decode(f"{text[at : match.start()]}{match[0].lower()}}}")
    except (ValueError, RecursionError):
        return False
    return bool(table) and table[-1][0].lower() == "correctness"


def _closes(text: str, match: re.Match[str], matches: Sequence[re.Match[str]]) -> bool:
    return (
        match is matches[-1] and text[: match.start()].rstrip().endswith(",") and bool(_ENDS.match(text, match.end()))
    )
