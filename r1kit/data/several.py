"""Answers any of which is right, as data sets of questions list them: NQ, TriviaQA, SQuAD, WebQuestions, PopQA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from r1kit.data.paths import opened

__all__ = ["LISTS", "several", "several_in"]

LISTS = ("answers", "possible_answers", "golden_answers")
"""Columns that hold a list of them, as a text too."""
_KEYS = ("value", "text", "target", "aliases", "normalized_aliases")
"""Where an object has them: TriviaQA's answers, SQuAD's, those of verl's search data."""


def several(value: Any) -> tuple[str, ...]:
    """The texts of a list, or of an object that has a list of them under one of ``_KEYS``, each once and the first one
    first; nothing for any other value, a list of numbers (which may be one answer) or a value with its unit among
    them."""
    if isinstance(value, Mapping):
        found = [value.get(key) for key in _KEYS]
        if not any(isinstance(each, list) for each in found):
            return ()
        texts = [text for each in found for text in ([each] if isinstance(each, str) else _texts(each))]
    else:
        texts = _texts(value)
    return tuple(dict.fromkeys(text for each in texts if (text := each.strip())))


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
