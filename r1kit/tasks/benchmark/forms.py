"""What each benchmark is told by, how it is asked and how an answer is found (R1 paper, evaluation; v2 D.1 and J)."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from r1kit.data.choices import Asked, lettered
from r1kit.data.find import code_format
from r1kit.data.slots import last_box
from r1kit.errors import InputError
from r1kit.files import Line
from r1kit.records import Prompt

__all__ = [
    "BOXED",
    "FORMS",
    "Form",
    "after_thinking",
    "boxed_answer",
    "boxed_question",
    "choice_question",
    "letter_of",
    "recognised",
]

BOXED = r"Please reason step by step, and put your final answer within \boxed{}."
"""The paper's words after a question of mathematics."""
CHOICE = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'ANSWER: $LETTER' (without quotes) where LETTER is one of {letters}. Think step by step before answering."
)
"""The paper's words before a question with choices."""
LARGEST = 999
"""Of AIME's answers, which are whole numbers from 0."""
_MARK = r"(?:[\s$(\[{'\"`“‘\\]|\\(?:boxed|text(?:bf)?|math(?:rm|bf))\b|(?i:option|choice|letter)\s)"
_MARKS = f"{_MARK}*"
"""What may stand before a letter."""
_MEANT = r"(?:\s*I\s+(?:would\s+)?(?:think|believe|say|choose|pick)\b(?:(?:\s+that)?\s+it(?:\s+is|'s)\b)?)?"
_SAID = re.compile(
    rf"(?i:answer)(?:\s*:{_MEANT}|\s+is\b:?(?={_MARKS}[A-Z]\b)){_MARKS}(?![Ia]\s+[a-z])([A-Za-z])\b(?!'\w)"
)
_LETTER = rf"{_MARK}{{0,8}}(?!I\s+[a-z])([A-Z])(?:\b|(?=[一-鿿]))(?!'\w)"
_SAID_ELSE = re.compile(
    rf"(?i:\b(?:correct|right|best)\s+(?:option|choice|letter))(?:\s*:|\s+is\b:?){_LETTER}"
    rf"|(?:答案(?:\s*:|\s*(?:应该?|应当)?[是为]:?)|[故应]选择?:?){_LETTER}"
    rf"|(?i:\b(?:option|choice|answer))\s+{_LETTER}[)\]}}'\"`”’$]*\s+is\s+(?:the\s+)?"
    r"(?:correct|right|best)\b(?!\s*(?:\?|if\b|only\b))"
)
"""How else it is said, where there is neither ``ANSWER:`` nor a box."""
_DOUBTED = re.compile(r"(?i:\b(?:not|never|if|whether|unless|n?either|n?or|doubt|suppose|assum\w+|\w+n't)\b)|[不非没]")
_ALONE = re.compile(rf"{_MARK}{{0,8}}([A-Z])[\s.:)\]}}'\"`”’$]*")
_AS_WELL = re.compile(
    r"[\])}'\"`”’$\\]*[ \t]*"
    rf"(?:(?:[,/&+|、和或与及]|or\b|and\b)[ \t]*(?:or\b|and\b)?{_MARKS}(?![AI][ \t]+[a-z])[A-Z]\b(?!'\w)"
    r"|[.):;]*[ \t]+[A-Z](?=[.:,;)]|[ \t]*(?:\n|\Z)))"
)
"""Another letter behind the first: which of them is meant is not said."""
NEAR = 40
"""Characters behind a letter that are looked at for another."""
_CLOSED, _OPEN = "</think>", "<think>"


@dataclass(frozen=True, slots=True)
class Form:
    name: str
    title: str
    holds: str
    """Columns, for a message."""
    k: int
    """Responses a problem: v2 D.1 names 64 for AIME and GPQA, 16 for MATH, 8 for LiveCodeBench; v1 says 4 to 64. The
    paper does not report HumanEval; it has LiveCodeBench's."""
    has: Callable[[Mapping[str, Any]], bool]
    """Whether a row, its columns in small letters, is of this benchmark."""


def _holds(*needed: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: all(row.get(name) not in (None, "", []) for name in needed)


def _math500(row: Mapping[str, Any]) -> bool:
    return _holds("problem", "answer")(row) and bool({"level", "subject", "unique_id"} & set(row))


def _aime(row: Mapping[str, Any]) -> bool:
    asked = _holds("problem", "answer")(row) or _holds("question", "answer")(row)
    answer = str(row.get("answer")).strip().removesuffix(".0")
    return asked and not {"options", "choices"} & set(row) and answer.isdecimal() and int(answer) <= LARGEST


FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form("humaneval", "HumanEval", "prompt, entry_point, test", 8, lambda row: code_format(row) == "humaneval"),
        Form(
            "livecodebench", "LiveCodeBench", "question_content, public_test_cases", 8,
            lambda row: code_format(row) == "livecodebench",
        ),
        Form(
            "gpqa", "GPQA", "Question, Correct Answer, Incorrect Answer 1 to 3", 64,
            _holds("question", "correct answer", *(f"incorrect answer {number}" for number in (1, 2, 3))),
        ),
        Form("mmlu_pro", "MMLU-Pro", "question, options, answer", 4, _holds("question", "options", "answer")),
        Form("math500", "MATH-500", "problem, answer and level, subject or unique_id", 16, _math500),
        Form("aime", "AIME", f"problem, answer: a whole number from 0 to {LARGEST}", 64, _aime),
    )
}  # fmt: skip
"""The first that fits a row is its benchmark."""


def recognised(line: Line, wanted: str = "auto") -> Form:
    """The benchmark of a row; ``wanted``: the one that it must be.

    Raises:
        InputError: it is none, or another one.
    """
    row = {name.lower(): value for name, value in line.table.items()}
    found = [form for form in FORMS.values() if form.has(row)]
    if wanted in FORMS and FORMS[wanted] in found:
        return FORMS[wanted]
    if wanted in FORMS:
        is_of = (
            f"it is laid out as {found[0].title}; write benchmark/{found[0].name}" if found else "it is of no benchmark"
        )
        raise InputError(f"{line.where}: no row of {FORMS[wanted].title} ({FORMS[wanted].holds}): {is_of}")
    if not found:
        known = "; ".join(f"{form.title} ({form.holds})" for form in FORMS.values())
        raise InputError(
            f"{line.where}: laid out as no benchmark that is known: the row has {', '.join(line.table)}; known are "
            f"{known}; without 'benchmark/' any layout of docs/data.md is read"
        )
    return found[0]


# ---- how it is asked ------------------------------------------------------------------------------------------------


def boxed_question(prompt: Prompt) -> str:
    return f"{prompt.question.rstrip()}\n{BOXED}"


def choice_question(prompt: Prompt, order: int = 0) -> tuple[str, tuple[str, ...], str]:
    """(the question with its choices as ``A) ...``, the choices, the right one's letter).

    Args:
        prompt: as ``tasks/data`` reads it, choices under its question.
        order: seed of another order of the choices, with the problem's id; 0: the order as read.
    """
    assert prompt.answer is not None
    choices, right = tuple(prompt.facts["choices"]), string.ascii_uppercase.index(prompt.answer)
    bare = prompt.question.removesuffix(lettered(Asked("", choices, "")))
    places = list(range(len(choices)))
    if order:
        Random(f"{order}/{prompt.id}").shuffle(places)
    letters, choices = string.ascii_uppercase[: len(choices)], tuple(choices[place] for place in places)
    lines = [f"{letter}) {choice}" for letter, choice in zip(letters, choices, strict=True)]
    return "\n".join((CHOICE.format(letters=letters), "", bare, "", *lines)), choices, letters[places.index(right)]


# ---- how an answer is found -----------------------------------------------------------------------------------------


def after_thinking(text: str) -> str:
    """What follows the thinking; nothing where it never ends."""
    _, closed, after = text.rpartition(_CLOSED)
    return after if closed else "" if _OPEN in text else text


def boxed_answer(text: str) -> str:
    """The last box; empty where there is none."""
    return last_box(after_thinking(text)) or ""


def letter_of(text: str) -> str:
    """The letter after the last ``ANSWER:`` (or "the answer is"), else in the last box, else the one that the last line
    to name one calls correct, else the one that the last line is; empty where there is none, or others behind it."""
    said = after_thinking(text)
    plain = unicodedata.normalize("NFKC", said).replace("**", "")
    found = [(letter[1].upper(), plain[letter.end() :][:NEAR]) for letter in _SAID.finditer(plain)][-1:]
    if not found:
        return last_box(said) or _said_else(plain)
    return "" if _AS_WELL.match(found[0][1]) else found[0][0]


def _said_else(plain: str) -> str:
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    for line in reversed(lines):
        if found := list(_SAID_ELSE.finditer(line)):
            letters = {letter for each in found for letter in each.groups() if letter}
            sentence = re.split(r"[.!?。；;]\s*", line[: found[-1].start()])[-1]
            doubted = _DOUBTED.search(sentence) or _AS_WELL.match(line[found[-1].end() :][:NEAR])
            return letters.pop() if len(letters) == 1 and not doubted else ""
    *before, alone = [_ALONE.fullmatch(line) for line in lines[-2:]] or [None]
    return alone[1] if alone and not any(before) else ""
