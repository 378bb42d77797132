"""Multiple-choice questions: MMLU, MMLU-Pro, GPQA, ARC and their like, as a question with lettered choices."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from r1kit.data.paths import column, opened, text_of
from r1kit.errors import InputError
from r1kit.files import Line, as_text, brief

__all__ = ["CHOICES", "CHOICES_NAMED", "Asked", "ChoiceForm", "counted", "lettered"]

LETTERS = string.ascii_uppercase
_LETTERED = re.compile(r"(?:^\s*|\s*,\s*)([a-e]) \) ")
_CHOICES_TOLD = re.compile(r"\s*(?:Answer Choices:|选项：)(?=\s*\(A\))")
"""Choices that stand in the question too, as AGIEval has them."""


class Asked(NamedTuple):
    question: str
    choices: tuple[str, ...]
    letter: str
    """Of the right one."""


class ChoiceForm(NamedTuple):
    name: str
    needs: tuple[str, ...]
    """Columns that it is recognised by."""
    take: Callable[[Line, Mapping[str, str]], Asked]
    """From a row and the columns' names as the row spells them."""
    words: tuple[str, str]
    """Where prompt and answer come from, for a person."""
    columns: tuple[str, ...] = ()
    """Of the choices, where only the rows tell which number the first one has (``counted``)."""


def lettered(asked: Asked) -> str:
    """The question with its choices under it, ``A. ...`` a line."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, asked.choices, strict=False)]
    return "\n".join([asked.question.strip(), "", *lines, "", "Answer with the letter of the right choice."])


def _listed(question: str, choices: str, answer: str) -> Callable[[Line, Mapping[str, str]], Asked]:
    """A list of choices and the right one's number, letter or text."""

    def take(line: Line, named: Mapping[str, str]) -> Asked:
        found = opened(column(line, named[choices]))
        labels: Sequence[Any] | None = None
        if isinstance(found, str) and len(parts := _LETTERED.split(found)) > 2 and not parts[0].strip():
            labels, found = parts[1::2], parts[2::2]  # a ) 38 , b ) 27.5
        elif isinstance(found, list) and found and all(isinstance(each, Mapping) for each in found):
            labels, found = (
                [_first_of(each, keys) for each in found] for keys in (("key", "label"), ("value", "text"))
            )
        if isinstance(found, Mapping) and "text" not in found:  # {"A": ..., "B": ...}
            labels, found = list(found), list(found.values())
        elif isinstance(found, Mapping):
            labels, found = found.get("label"), found.get("text")
        if not isinstance(found, Sequence) or isinstance(found, str) or not 2 <= len(found) <= len(LETTERS):
            raise InputError(f"{line.where}: {named[choices]!r} must be a list of 2 to 26 choices, got {brief(found)}")
        texts = _bare([as_text(each, line.where, named[choices]) for each in found])
        right = column(line, named[answer])
        right = right[0] if isinstance(right, list) and len(right) == 1 else right
        return Asked(
            _CHOICES_TOLD.split(text_of(line, named[question]))[0],
            texts,
            _letter(right, texts, labels, line.where, named[answer]),
        )

    return take


def _first_of(table: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((table[key] for key in keys if key in table), None)


def _bare(texts: Sequence[str]) -> tuple[str, ...]:
    """Choices without letters of their own, where each has its: ``A) 21``."""
    found = [re.fullmatch(r"\(?([A-Z])\s*[).:]\s*(.*)", text.strip(), re.DOTALL) for text in texts]
    if all(match and match[1] == letter for match, letter in zip(found, LETTERS, strict=False)):
        return tuple(match[2] for match in found if match)
    return tuple(texts)


def _letter(
    right: Any, texts: tuple[str, ...], labels: Sequence[Any] | None, where: str, key: str, first: int = 0
) -> str:
    """Of what a row calls right, a number counted from ``first``."""
    said = as_text(right, where, key).strip()
    letter = LETTERS.find(said.upper()) if len(said) == 1 else -1
    places = (
        [str(label) for label in labels or ()].index(said) if said in map(str, labels or ()) else -1,
        int(said) - first if isinstance(right, int) else -1,
        letter,
        texts.index(said) if said in texts else -1,
        int(said) - first if said.isdecimal() else -1,
    )
    place = next((place for place in places if 0 <= place < len(texts)), -1)
    if place < 0:
        raise InputError(f"{where}: {key!r} must be a choice's letter, number from {first} or text, got {brief(right)}")
    return LETTERS[place]


def _columns(choices: Sequence[str], first: int = 1) -> Callable[[Line, Mapping[str, str]], Asked]:
    """A column a choice and the right one's letter, or its number counted from ``first``."""

    def take(line: Line, named: Mapping[str, str]) -> Asked:
        texts = tuple(text_of(line, named[key]) for key in choices)
        letter = _letter(column(line, named["answer"]), texts, None, line.where, named["answer"], first)
        return Asked(text_of(line, named["question"]), texts, letter)

    return take


def counted(form: ChoiceForm, named: Mapping[str, str], lines: Iterable[Line], first: int) -> ChoiceForm:
    """The form, where its rows have numbers for letters: counted from ``first``, or if that is -1 as the rows tell, of
    which one has 0, or as many as there are choices.

    Raises:
        InputError: none has, or both are there.
    """
    if not form.columns:
        return form
    seen, most, where = set[int](), len(form.columns), ""
    for line in lines:
        said = line.table.get(named["answer"])
        texts = {str(line.table.get(named[key])).strip() for key in form.columns}
        spelled = str(said).strip()
        if isinstance(said, bool) or not spelled.isdecimal() or (isinstance(said, str) and spelled in texts):
            continue
        seen.add(int(spelled))
        where = where or line.where
        if first != -1 or {0, most} & seen:
            break
    if not seen:
        return form
    if first == -1 and not {0, most} & seen:
        raise InputError(
            f"{where}: {named['answer']!r} is {' or '.join(map(str, sorted(seen)))} in all rows, so nothing tells "
            "whether it counts from 0 or from 1; write choices_from = 0 or choices_from = 1"
        )
    from_one = most in seen if first == -1 else first == 1
    return form._replace(take=_columns(form.columns, int(from_one)))


def _apart(
    question: Sequence[str], choices: Sequence[str], answer: str, first: int
) -> Callable[[Line, Mapping[str, str]], Asked]:
    """A column a choice and the right one's number, counted from ``first``; columns of the question, one under the
    other."""

    def take(line: Line, named: Mapping[str, str]) -> Asked:
        texts = tuple(text_of(line, named[key]) for key in choices)
        said = as_text(column(line, named[answer]), line.where, named[answer]).strip()
        place = int(said) - first if said.isdecimal() else -1
        if not 0 <= place < len(texts):
            allowed = ", ".join(str(first + number) for number in range(len(texts)))
            raise InputError(f"{line.where}: {named[answer]!r} must be the right choice, {allowed}; got {brief(said)}")
        return Asked("\n".join(text_of(line, named[key]) for key in question), texts, LETTERS[place])

    return take


def _shuffled(right: str, wrong: Sequence[str]) -> Callable[[Line, Mapping[str, str]], Asked]:
    """A column for the right choice and one for each wrong one, in an order that the question's hash decides."""

    def take(line: Line, named: Mapping[str, str]) -> Asked:
        question = text_of(line, named["question"])
        return _ordered(question, [text_of(line, named[key]) for key in (right, *wrong)], 0)

    return take


def _ordered(question: str, texts: Sequence[str], right: int) -> Asked:
    order = list(range(len(texts)))
    Random(hashlib.sha256(question.encode()).hexdigest()).shuffle(order)
    return Asked(question, tuple(texts[place] for place in order), LETTERS[order.index(right)])


def _labelled(question: str, targets: str) -> Callable[[Line, Mapping[str, str]], Asked]:
    """An object of choices and labels, one of which is 1 (the first, as a rule), in an order that the question's hash
    decides."""

    def take(line: Line, named: Mapping[str, str]) -> Asked:
        found = opened(column(line, named[targets]))
        lists = [found.get(key) if isinstance(found, Mapping) else None for key in ("choices", "labels")]
        texts, labels = (each if isinstance(each, list) else [] for each in lists)
        if not 2 <= len(texts) == len(labels) <= len(LETTERS) or labels.count(1) != 1:
            raise InputError(f"{line.where}: {named[targets]!r} must have choices with labels, one of them 1")
        texts = [as_text(each, line.where, named[targets]) for each in texts]
        return _ordered(text_of(line, named[question]), texts, labels.index(1))

    return take


CHOICES_NAMED = ChoiceForm(
    "multiple choice",
    ("prompt", "choices", "answer"),
    _listed("prompt", "choices", "answer"),
    ("the prompt with its choices lettered", "the letter of the answer"),
)
"""Of columns that the user named."""
_WRONG = tuple(f"incorrect answer {number}" for number in (1, 2, 3))
_DISTRACTORS = tuple(f"distractor{number}" for number in (1, 2, 3))
_OPTIONS, _ANSWERS = [f"op{letter}" for letter in "abcd"], [f"answer{number}" for number in range(4)]
_OPTION = [f"option_{letter}" for letter in "abcd"]
_SHUFFLED = "in an order that the question's hash decides"


def _in_a_list(name: str, question: str, choices: str, answer: str, told: str) -> ChoiceForm:
    """The choices stand in one column; ``told``: the answer's column in words."""
    needs = (question, choices, answer)
    return ChoiceForm(name, needs, _listed(*needs), (f"{question} with {choices} lettered", told))


CHOICES: tuple[ChoiceForm, ...] = (
    ChoiceForm(
        "GPQA",
        ("question", "correct answer", *_WRONG),
        _shuffled("correct answer", _WRONG),
        ("Question, its four answers lettered " + _SHUFFLED, "the letter of Correct Answer"),
    ),
    ChoiceForm(
        "SciQ",
        ("question", "correct_answer", *_DISTRACTORS),
        _shuffled("correct_answer", _DISTRACTORS),
        ("question, its four answers lettered " + _SHUFFLED, "the letter of correct_answer"),
    ),
    ChoiceForm(
        "TruthfulQA",
        ("question", "mc1_targets"),
        _labelled("question", "mc1_targets"),
        ("question with the choices of mc1_targets lettered " + _SHUFFLED, "the letter of the one labelled 1"),
    ),
    _in_a_list("ARC, CommonsenseQA", "question", "choices", "answerkey", "answerKey"),
    _in_a_list("OpenBookQA", "question_stem", "choices", "answerkey", "answerKey"),
    _in_a_list("AQuA", "question", "options", "correct", "correct"),
    _in_a_list("MMLU-Pro", "question", "options", "answer", "answer"),
    _in_a_list("MMLU", "question", "choices", "answer", "answer, as a letter"),
    _in_a_list("MathQA", "problem", "options", "correct", "correct"),
    _in_a_list("LogiQA", "query", "options", "correct_option", "correct_option, as a letter"),
    _in_a_list("AGIEval", "query", "choices", "gold", "gold, as a letter"),
    _in_a_list("AGIEval", "question", "options", "label", "label"),
    _in_a_list("ReClor", "question", "answers", "label", "label, as a letter"),
    ChoiceForm(
        "MedMCQA",
        ("question", *_OPTIONS, "cop"),
        _apart(["question"], _OPTIONS, "cop", 0),
        ("question with opa to opd lettered", "cop, as a letter"),
    ),
    ChoiceForm(
        "Cosmos QA",
        ("context", "question", *_ANSWERS, "label"),
        _apart(["context", "question"], _ANSWERS, "label", 0),
        ("context and question with answer0 to answer3 lettered", "label, as a letter"),
    ),
    _in_a_list("HellaSwag", "ctx", "endings", "label", "label, as a letter"),
    ChoiceForm(
        "PIQA",
        ("goal", "sol1", "sol2", "label"),
        _apart(["goal"], ["sol1", "sol2"], "label", 0),
        ("goal with sol1 and sol2 lettered", "label, as a letter"),
    ),
    ChoiceForm(
        "WinoGrande",
        ("sentence", "option1", "option2", "answer"),
        _apart(["sentence"], ["option1", "option2"], "answer", 1),
        ("sentence with option1 and option2 lettered", "answer, as a letter"),
    ),
    ChoiceForm(
        "Social IQa",
        ("context", "question", "answera", "answerb", "answerc", "label"),
        _apart(["context", "question"], ["answera", "answerb", "answerc"], "label", 1),
        ("context and question with answerA to answerC lettered", "label, as a letter"),
    ),
    ChoiceForm(
        "KMMLU",
        ("question", *"abcd", "answer", "human accuracy"),
        _columns("abcd"),
        ("question with A to D lettered", "answer, counted from 1"),
    ),
    ChoiceForm(
        "C-Eval",
        ("question", *"abcd", "answer"),
        _columns("abcd"),
        ("question with A to D lettered", "answer"),
        tuple("abcd"),
    ),
    ChoiceForm(
        "Global-MMLU",
        ("question", *_OPTION, "answer"),
        _columns(_OPTION),
        ("question with option_a to option_d lettered", "answer"),
        tuple(_OPTION),
    ),
    _in_a_list("MuSR", "question", "choices", "answer_index", "answer_index, as a letter"),
)
