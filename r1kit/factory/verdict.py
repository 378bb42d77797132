"""Read a judge's verdict out of what it wrote: forgiving about JSON, strict about whose verdict it is.

Forgiven: backslashes of LaTeX, line breaks and quotation marks within a text, ``true`` and ``false``, a full stop, an
exclamation mark or bold type at the word, keys without quotation marks, commas too many or lost,
a fence around it, text that was cut after the verdict. Not forgiven: a verdict that stands in the analysis, or in text
that the judge quotes, is none; and where more than one reading is left and they disagree, there is no verdict.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from r1kit.text.seen import without_thinking

__all__ = ["Verdict", "read_verdict"]

_TRIES = 200
"""Opening braces that are looked at."""
_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
_VALUE = r"""\s{0,20}:\s{0,20}(?:(["'“”])[\s*_`]{0,20}(in)?correct[\s*_`.!]{0,20}["'“”]|["']?(true|false)\b["']?)"""
_SAID = re.compile(rf"""(?<!\\)["'“”]correctness["'“”]{_VALUE}""", re.IGNORECASE)
_BEGINS = re.compile(r"""\{\s*["'“]\w{1,40}["'”]\s*:""")
"""An object, whatever it holds."""
_BEGINS_BARE = re.compile(r"\{\s*(?:analysis|correctness)\s*:", re.IGNORECASE)
"""One whose keys have no quotation marks: any other brace may be a set's."""
_BARE_KEY = re.compile(r"([{,]\s*)(analysis|correctness)(?=\s*:)", re.IGNORECASE)
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
    earlier has none and something is said between them; neither does where a brace is left behind them or the later
    is no JSON, since it may then be a quotation in the earlier.
    """
    text = _ESCAPE.sub(lambda match: match[0] if match[1] else "\\\\", without_thinking(text))
    found: Verdict | None = None
    after, overruled = 0, False
    decoder, at, tries = json.JSONDecoder(object_pairs_hook=_Pairs, strict=False), text.find("{"), _TRIES
    while at >= 0 and tries:
        tries -= 1
        try:
            table, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            bare = _BEGINS_BARE.match(text, at)
            if bare or _BEGINS.match(text, at):
                last = _broken(decoder, _BARE_KEY.sub(r'\1"\2"', text[at:]) if bare else text[at:])
                agrees = found is None or (last is not None and last.correct == found.correct)
                return last if agrees and not overruled else None
            at = text.find("{", at + 1)
            continue
        said = _of_object(table)
        if said == "both":
            return None
        if isinstance(said, Verdict):
            if found and found.correct != said.correct:
                if not said.analysis and (found.analysis or not text[after:at].strip()):
                    return None
                overruled = True
            found, after = said, end
        at = text.find("{", end)
    if overruled and "}" in text[after:]:
        return None
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
    return _WORDS.get(value.strip(" \t\n*_`.!").lower()) if isinstance(value, str) else None


def _meant(match: re.Match[str]) -> bool:
    return match[3].lower() == "true" if match[3] else match[2] is None


def _broken(decoder: json.JSONDecoder, text: str) -> Verdict | None:
    """Of an object that is not JSON, ``text`` from its brace to the end.

    What counts is a key before which all is JSON (the text was cut after it), and one that ends the object.
    """
    matches = list(_SAID.finditer(text))
    counted = [match for match in matches if _leads(decoder, text, match)]
    counted += [match for match in matches[-1:] if _closes(decoder, text, match)]
    said = {_meant(match) for match in counted}
    return Verdict(correct=said.pop()) if len(said) == 1 else None


def _leads(decoder: json.JSONDecoder, text: str, match: re.Match[str], comma: str = "") -> bool:
    try:
        table, _ = decoder.raw_decode(f"{text[: match.start()]}{comma}{match[0].lower()}}}")
    except (ValueError, RecursionError):
        return False
    return bool(table) and table[-1][0].lower() == "correctness"


def _closes(decoder: json.JSONDecoder, text: str, match: re.Match[str]) -> bool:
    """Whether the last of all keys ends the object, after a comma or after JSON that lacks just that."""
    ends = _ENDS.match(text, match.end())
    if ends is None or text[: match.start()].rstrip().endswith(","):
        return ends is not None
    return "}" in ends[0] and _leads(decoder, text, match, ",")
