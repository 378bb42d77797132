"""Pairs as data sets of preferences write them: two responses and which is better, or a list of them with ranks or
scores, of which the best and the worst are taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from r1kit.data.chats import as_chat, is_chat
from r1kit.data.paths import column, flag, opened, text_of
from r1kit.errors import InputError
from r1kit.files import Line, as_text, brief

__all__ = ["PREFERENCES", "PREFERRED", "Preference"]


class Preference(NamedTuple):
    prompt: str
    """Its column; empty: the chats have it."""
    tells: str
    """The column that tells which is better, or the list."""
    needs: tuple[str, ...]
    """Columns besides that it is recognised by."""
    pick: Callable[[Line, str], tuple[Any, Any]]
    """From a row and the spelling of ``tells``: (the better response, the worse one), as texts or chats."""
    words: tuple[str, str] = ("the one of two", "the other of two")


def _of_two(
    first: str, second: str, is_second: Callable[[Line, str], bool], said: Callable[[Line, str], Any] = text_of
) -> Callable[[Line, str], tuple[Any, Any]]:
    """``said``: takes a response from its column."""

    def pick(line: Line, tells: str) -> tuple[Any, Any]:
        spelled = {name.lower(): name for name in line.table}
        two = [said(line, spelled.get(name, name)) for name in (first, second)]
        return (two[1], two[0]) if is_second(line, tells) else (two[0], two[1])

    return pick


def _last_said(line: Line, path: str) -> Any:
    """Of a chat, or of a list of turns: a chat that ends with the response, or the text of the only turn."""
    value = opened(column(line, path))
    if is_chat(value):
        return as_chat(value, line.where, path)
    if isinstance(value, list) and len(value) > 1:
        raise InputError(f"{line.where}: {path!r} has {len(value)} turns, and the earlier ones are not the other's")
    return text_of(line, path)


def _neither(line: Line, path: str) -> InputError:
    return InputError(f"{line.where}: {path!r} is {brief(line.table.get(path))}: neither is better")


def _leans(line: Line, path: str) -> bool:
    """Of -3 to 3: a negative number is for the first, 0 for neither."""
    value = column(line, path)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value:
        raise InputError(
            f"{line.where}: {path!r} must be a number that is not 0, got {brief(value)}: neither is better"
        )
    return value > 0


def _won(line: Line, path: str) -> bool:
    """``model_a`` or ``model_b``, ``A>B`` or ``B>A``; ties have other words."""
    won = str(column(line, path)).strip().lower().removeprefix("model_").partition(">")[0]
    if won not in ("a", "b"):
        raise _neither(line, path)
    return won == "b"


def _ahead(other: str, line: Line, path: str) -> bool:
    """By two numbers, the second one's in column ``other``."""
    first, second = (_number(column(line, name)) for name in (path, other))
    if first is None or second is None or first == second:
        raise _neither(line, path)
    return second > first


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _of_many(text: str, scores: Sequence[str], sign: int = 1) -> Callable[[Line, str], tuple[Any, Any]]:
    """The highest and the lowest by the first of the scores that a response has; ``sign`` is -1 for ranks."""

    def pick(line: Line, tells: str) -> tuple[Any, Any]:
        each = opened(column(line, tells))
        told = [one for one in each if isinstance(one, Mapping)] if isinstance(each, list) else []
        found = [(score, one.get(text)) for one in told if (score := _score(one)) is not None]
        if not found or min(score for score, _ in found) == max(score for score, _ in found):
            raise InputError(f"{line.where}: {tells!r} has no two responses of which one is better")
        ranked = sorted(found, key=lambda pair: -sign * pair[0])
        return as_text(ranked[0][1], line.where, tells), as_text(ranked[-1][1], line.where, tells)

    def _score(one: Mapping[str, Any]) -> float | None:
        return next((number for name in scores if (number := _number(one.get(name))) is not None), None)

    return pick


_MANY = ("the best of them", "the worst of them")
PREFERENCES: Mapping[str, Preference] = {
    "SHP": Preference(
        "history", "labels", ("human_ref_a", "human_ref_b"), _of_two("human_ref_b", "human_ref_a", flag)
    ),
    "HelpSteer3": Preference(
        "context", "overall_preference", ("response1", "response2"), _of_two("response1", "response2", _leans)
    ),
    "HelpSteer2": Preference(
        "prompt", "preference_strength", ("response_1", "response_2"), _of_two("response_1", "response_2", _leans)
    ),
    "PKU-SafeRLHF": Preference(
        "prompt", "better_response_id", ("response_0", "response_1"), _of_two("response_0", "response_1", flag)
    ),
    "Chatbot Arena": Preference(
        "", "winner", ("conversation_a", "conversation_b"),
        _of_two("conversation_a", "conversation_b", _won, _last_said),
    ),
    "LMSYS": Preference(
        "prompt", "winner_model_a", ("winner_model_b", "response_a", "response_b"),
        _of_two("response_a", "response_b", partial(_ahead, "winner_model_b"), _last_said),
    ),
    "JudgeBench": Preference(
        "question", "label", ("response_a", "response_b"), _of_two("response_a", "response_b", _won)
    ),
    "WebGPT": Preference(
        "question.full_text", "score_0", ("score_1", "answer_0", "answer_1"),
        _of_two("answer_0", "answer_1", partial(_ahead, "score_1")),
    ),
    "UltraFeedback": Preference(
        "instruction", "completions", (), _of_many("response", ("overall_score", "fine-grained_score")), _MANY
    ),
    "Nectar": Preference("prompt", "answers", ("num_responses",), _of_many("answer", ("rank",), -1), _MANY),
    "Stack Exchange": Preference("question", "answers", ("qid",), _of_many("text", ("pm_score",)), _MANY),
}  # fmt: skip
"""Data set of pairs -> how its rows are read."""


def _one(pick: Callable[[Line, str], tuple[Any, Any]], role: int, line: Line, path: str) -> Any:
    return pick(line, path)[role]


PREFERRED: Mapping[str, tuple[Callable[[Line, str], Any], str]] = {
    f"{name} {role}": (partial(_one, each.pick, place), each.words[place])
    for name, each in PREFERENCES.items()
    for place, role in enumerate(("chosen", "rejected"))
}
"""How a column stands for a role (``slots.HOW``)."""
