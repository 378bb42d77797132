"""From a column to a role: as it stands, what follows ``####``, the last box, a letter of the choices, a chat."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from r1kit.data.chats import as_chat, as_turns
from r1kit.data.paths import column, flag, opened, text_of, there
from r1kit.data.preferred import PREFERRED
from r1kit.data.several import several, several_in, validated
from r1kit.errors import InputError
from r1kit.files import Line, as_text, brief
from r1kit.records import Message

__all__ = ["HOW", "STORIES", "Slot", "answer_slot", "last_box", "no_answer", "story_of"]

_HASHES = re.compile(r"^[ \t]*####[ \t]*(.*)$", re.MULTILINE)
MISSING = ("nan", "<NA>", "<unk>")
"""What a missing value is as text, after pandas' ``astype(str)`` and in TriviaQA's test split; ``None`` and ``NaN`` may
be meant."""
ALIASES = "_aliases"
"""``answer_aliases`` beside ``answer``: further answers that are as right (MuSiQue)."""
STORIES = ("context", "passage", "article", "story", "narrative")
"""Columns of what a question is about."""
NO_ANSWERS = ("proof", "notfound", "not found")
"""What NuminaMath writes in place of an answer."""
_UNIT = re.compile(r"([^()]+?)\s*\([^()]*\)")
"""``9 (apples)``, as ASDiv writes answers; its rows have a body and a formula."""
_ASSERT = re.compile(r"\s*assert\b[^\n]*[(=]")
"""``assert oneself`` is an answer."""
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{|[^{\s])")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a role comes from."""

    path: str
    """Column, see ``paths``."""
    how: str = "text"
    """A key of ``HOW``."""
    more: str = ""
    """A second column, put after the first where a row has it."""
    story: bool = False
    """What the row tells before its question (``story_of``) is put in front."""

    def take(self, line: Line) -> Any:
        """Raises InputError where the column is not there or does not fit."""
        value = HOW[self.how][0](line, self.path)
        more = line.table.get(self.more) if self.more else None
        value = f"{value}\n\n{more}" if isinstance(more, str) and more.strip() else value
        return f"{story}\n\n{value}" if self.story and (story := story_of(line)) else value

    def __str__(self) -> str:
        """``answer, what follows ####``."""
        words = HOW[self.how][1]
        path = f"{self.path} and {self.more}" if self.more else self.path
        path += f" behind {' or '.join(STORIES)}, where there is one" * self.story
        return f"{path}, {words}" if words else path


def story_of(line: Line, but: Collection[str] = ()) -> str:
    """The text that a question is about, as BoolQ, RACE and LogiQA have one; empty where there is none, or it is one of
    the columns that are taken already."""
    told = (value for name, value in line.table.items() if name.lower() in STORIES and name not in but)
    return next((story for value in told if (story := _told(value))), "")


def _told(value: Any) -> str:
    """A text, or paragraphs: a list of texts, PubMedQA's object of one, HotpotQA's titles with their sentences, as an
    object of two lists or as pairs."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping) and isinstance(value.get("sentences"), list) and isinstance(value.get("title"), list):
        value = list(zip(value["title"], value["sentences"], strict=False))
    paragraphs = value.get("contexts") if isinstance(value, Mapping) else value
    found = [_paragraph(each) for each in paragraphs] if isinstance(paragraphs, list) else []
    return "" if None in found else "\n\n".join(filter(None, found))


def _paragraph(value: Any) -> str | None:
    """None for what is none."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[1], list):
        value = f"{value[0]}: {''.join(map(str, value[1]))}"
    return value.strip() if isinstance(value, str) else None


def answers_of(line: Line, path: str) -> tuple[str, ...]:
    """An answer as it stands, or each of a list any of which is right (``several``), with those of ``PATH_aliases``."""
    value = column(line, path)
    if value == [] or (isinstance(value, Mapping) and value.get("text") == []):  # SQuAD's, where there is none
        raise InputError(f"{line.where}: {path!r} holds no answer: {brief(value)}")
    found = several_in(path, value) or (text_of(line, path),)
    further = (*several(line.table.get(path + ALIASES)), *validated(line.table.get("validated_answers")))
    return tuple(_plain_answer(each, line, path) for each in (*found, *further))


def first_of(line: Line, path: str) -> str:
    """The first of several, as it stands: a worked solution may be learnt."""
    return (several_in(path, column(line, path)) or (text_of(line, path),))[0]


def _plain_answer(answer: str, line: Line, path: str) -> str:
    if answer.strip() in MISSING:
        raise InputError(f"{line.where}: {path!r} is the text {answer.strip()!r}, which stands for a missing value")
    if _HASHES.search(answer):
        raise InputError(f"{line.where}: {path!r} is a worked solution with ####, where others are answers")
    if answer.strip().lower() in NO_ANSWERS and "problem" in line.table:
        raise InputError(f"{line.where}: {path!r} is {answer.strip()!r}: nothing that an answer could equal")
    if _is_tests(answer):
        raise InputError(f'{line.where}: {path!r} holds tests of a program; kind = "code" reads such rows')
    if (unit := _UNIT.fullmatch(answer.strip())) and {"body", "formula"} <= {name.lower() for name in line.table}:
        return unit[1]
    return answer.strip()


def _is_tests(answer: str) -> bool:
    """What verl's data of code have as ground truth: inputs and outputs, or asserts."""
    found = opened(answer) if answer.lstrip()[:1] == "{" else None
    return _ASSERT.match(answer) is not None or (isinstance(found, Mapping) and {"inputs", "outputs"} <= set(found))


def after_hashes(line: Line, path: str) -> str:
    """What follows the last ``####``, as GSM8K writes it."""
    found = _HASHES.findall(text_of(line, path))
    if not found or not found[-1].strip():
        raise InputError(f"{line.where}: nothing follows #### in {path!r}: {brief(column(line, path))}")
    return str(found[-1]).strip()


def boxed(line: Line, path: str) -> str:
    box = last_box(text_of(line, path))
    if box is None:
        raise InputError(f"{line.where}: no \\boxed{{...}} with an answer in {path!r}: {brief(column(line, path))}")
    return box


def last_box(text: str) -> str | None:
    """What the last box holds, its braces paired; None where there is none, or it is empty or not closed."""
    found = list(_BOX.finditer(text))
    if not found:
        return None
    start = found[-1].end()
    if text[start] != "{":  # \boxed 12
        return re.split(r"[\s$]|\\[)\]\\]", text[start:], maxsplit=1)[0].rstrip(".,;") or None
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start + 1 : start + brace.start()].strip() or None
    return None


def yes_or_no(line: Line, path: str) -> str:
    """True and false as BoolQ's answers; -1 stands for a missing one in SuperGLUE's test split."""
    if column(line, path) == -1:
        raise InputError(f"{line.where}: {path!r} is -1, which stands for a missing value")
    return "yes" if flag(line, path) else "no"


def whole(line: Line, path: str) -> str:
    """A text as it stands, blank ones too: data sets of text have empty lines."""
    value = raw(line, path)
    return value if isinstance(value, str) else as_text(value, line.where, path)


def optional(line: Line, path: str) -> str | None:
    """A text that a row may lack."""
    value = column(line, path) if there(line.table, path) else None
    return None if value is None or (isinstance(value, str) and not value.strip()) else as_text(value, line.where, path)


def chat(line: Line, path: str) -> tuple[Message, ...]:
    return as_chat(raw(line, path), line.where, path)


def turns_before(line: Line, path: str) -> tuple[Message, ...]:
    """Turns that a row may lack."""
    return as_turns(line.table.get(path), line.where, path)


def raw(line: Line, path: str) -> Any:
    value = column(line, path)
    if value is None:
        raise line.lacks(repr(path), path)
    return value


def listed(line: Line, path: str) -> Any:
    """A value as it stands, or what a text holds: a cell of a CSV file is text."""
    return opened(raw(line, path))


HOW: Mapping[str, tuple[Callable[[Line, str], Any], str]] = {
    "text": (text_of, ""),
    "answer": (answers_of, ""),
    "any": (answers_of, "any of them"),
    "first": (first_of, "the first of them"),
    "hashes": (after_hashes, "what follows ####"),
    "box": (boxed, "the last box in it"),
    "flag": (flag, ""),
    "truth": (yes_or_no, "as yes or no"),
    "listed": (listed, ""),
    "whole": (whole, ""),
    "optional": (optional, ""),
    "chat": (chat, "a chat"),
    "turns": (turns_before, ""),
    **PREFERRED,
}
"""How -> (what takes it, in words)."""


def answer_slot(line: Line, path: str) -> Slot:
    """How an answer stands in a column, by what this row has: after ``####``, in a box of a longer text, as true or
    false, or plainly."""
    value = column(line, path)
    text = value if isinstance(value, str) else ""
    if isinstance(value, bool):
        return Slot(path, "truth")
    if _HASHES.search(text):
        return Slot(path, "hashes")
    if last_box(text) is not None and len(text.split()) > 12:
        return Slot(path, "box")
    return Slot(path, "any" if several_in(path, value) or path + ALIASES in line.table else "answer")


def no_answer(line: Line) -> str:
    """Why a column that a person takes for the answer is none, and what to write; empty where there is no such."""
    spelled = {name.lower(): name for name in line.table}
    if best := spelled.get("best_answer"):
        return (
            f"{line.where}: {best!r} is a sentence that no rule compares with another (TruthfulQA's open questions); "
            'rule = "none" asks them for a reward model or a reward of your own, which is given correct_answers and '
            'incorrect_answers; subset = "multiple_choice" has their choices; columns = {answer = "correct_answers"} '
            "wants one of them word for word"
        )
    label = spelled.get("label", "")
    value = line.table.get(label)
    if str(value).lower() not in ("0", "1", "true", "false"):
        return ""
    said = "yes or no" if isinstance(value, bool) else "as it stands"
    return (
        f"{line.where}: {label!r} is {value}, and nothing says what that stands for; let the prompt say how to answer "
        f'and write columns = {{answer = "{label}"}}, which wants it {said}; rule = "none" takes prompts without an '
        "answer"
    )
