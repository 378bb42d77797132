"""Answers any of which is right, as data sets of questions list them: NQ, TriviaQA, SQuAD, WebQuestions, DROP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from r1kit.data.paths import opened

__all__ = ["LISTS", "several", "several_in", "validated"]

LISTS = ("answers", "possible_answers", "golden_answers", "answers_spans")
"""Columns that hold a list of them, as a text too."""
_KEYS = ("value", "text", "target", "aliases", "normalized_aliases", "spans")
"""Where an object has them: TriviaQA's answers, SQuAD's, those of verl's search data, DROP's on the hub."""
_DROP = {"number", "date", "spans"}


def several(value: Any) -> tuple[str, ...]:
    """The texts of a list, or of an object that has a list of them under one of ``_KEYS``, each once and the first one
    first; nothing for any other value, a list of numbers (which may be one answer) or a value with its unit among
    them."""
    if isinstance(value, Mapping) and set(value) >= _DROP:
        return _drop(value)
    if isinstance(value, Mapping):
        found = [value.get(key) for key in _KEYS]
        if not any(isinstance(each, list) for each in found):
            return ()
        texts = [text for each in found for text in ([each] if isinstance(each, str) else _texts(each))]
    else:
        texts = _texts(value)
    return tuple(dict.fromkeys(text for each in texts if (text := each.strip())))


def _drop(value: Mapping[str, Any]) -> tuple[str, ...]:
    """DROP's answer as its evaluation reads it: a number, all of the spans (in any order, of up to four), or a date."""
    spans = [span.strip() for span in _texts(value["spans"])]
    if number := str(value["number"] or "").strip():
        return (number,)
    if spans:
        return tuple(", ".join(each) for each in (permutations(spans) if len(spans) <= 4 else [spans]))
    date = value["date"] if isinstance(value["date"], Mapping) else {}
    told = " ".join(str(date.get(part) or "") for part in ("day", "month", "year"))
    return (" ".join(told.split()),) if told.strip() else ()


def validated(value: Any) -> tuple[str, ...]:
    """What further people answered (DROP's ``validated_answers``): a list, or an object of lists."""
    if isinstance(value, Mapping) and set(value) >= _DROP:
        value = [dict(zip(value, each, strict=True)) for each in zip(*value.values(), strict=False)]
    listed = value if isinstance(value, list) else []
    return tuple(text for each in listed if isinstance(each, Mapping) for text in several(each))


def _texts(value: Any) -> list[str]:
    """Of a list of texts, or of objects with a ``text``, as NarrativeQA has them."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return []
    found = [each.get("text") if isinstance(each, Mapping) else each for each in value]
    texts = [each for each in found if isinstance(each, str)]
    return texts if len(texts) == len(found) else []


def several_in(name: str, value: Any) -> tuple[str, ...]:
    """``several`` of a column, of a text that holds a list where the name says so: ``"[7]"`` may be an answer."""
    return several(opened(value) if name.lower() in LISTS else value)
