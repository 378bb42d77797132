"""Questions with choices: which columns hold them, from where numbers count, which letter is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.layouts import read_examples
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from tests.data.rows import ROWS, read


def test_choices_are_lettered_and_the_answer_is_the_letter(tmp_path: Path) -> None:
    example = read(tmp_path, ROWS["MMLU"])[1]
    assert example.question.startswith("Which is a bird?\n\nA. cow\nB. hen\nC. pig\nD. eel\n")
    assert example.answer == "B"
    shuffled = read(tmp_path, ROWS["GPQA"])[1]
    assert shuffled.choices["ABCD".index(shuffled.answer or "")] == "hen"
    assert sorted(shuffled.choices) == ["cow", "eel", "hen", "pig"]


@pytest.mark.parametrize(
    ("row", "question", "choices", "answer"),
    [
        ({"ctx": "He sits. He", "endings": ["a", "b", "c"], "label": "2"}, "He sits. He", "abc", "C"),
        ({"goal": "open it", "sol1": "a", "sol2": "b", "label": 1}, "open it", "ab", "B"),
        ({"sentence": "The _ fell.", "option1": "a", "option2": "b", "answer": "1"}, "The _ fell.", "ab", "A"),
        (
            {"context": "It rains.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"},
            "It rains.\nWhy?", "abc", "C",
        ),
    ],
)  # fmt: skip
def test_choices_of_common_sense(tmp_path: Path, row: dict[str, Any], question: str, choices: str, answer: str) -> None:
    """HellaSwag and PIQA count from 0, WinoGrande and Social IQa from 1."""
    example = read(tmp_path, row)[1]
    assert example.question.startswith(f"{question}\n\nA. a\n")
    assert ("".join(example.choices), example.answer) == (choices, answer)


ABCD, NAMED = ["w", "x", "y", "z"], {"opa": "w", "opb": "x", "opc": "y", "opd": "z"}

OPTIONS = {f"option_{letter}": text for letter, text in zip("abcd", ABCD, strict=True)}

NUMBERED = {"answer0": "w", "answer1": "x", "answer2": "y", "answer3": "z"}


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"question": "Why?", **NAMED, "cop": 1, "choice_type": "single", "exp": "Ans. (b)"}, "Why?"),
        ({"context": "It rains.", "query": "Why?", "options": ABCD, "correct_option": 1}, "It rains.\n\nWhy?"),
        ({"context": "It rains.", "question": "Why?", "answers": ABCD, "label": 1}, "It rains.\n\nWhy?"),
        ({"article": "It rains.", "question": "Why?", "options": ABCD, "answer": "B"}, "It rains.\n\nWhy?"),
        ({"passage": "It rains.", "question": "Why?", "options": ["(A)w", "(B)x", "(C)y", "(D)z"], "label": "B",
          "answer": None}, "It rains.\n\nWhy?"),
        ({"passage": None, "question": "Why?", "options": ABCD, "label": "B", "answer": None}, "Why?"),
        ({"query": "Q: Why? Answer Choices: (A)w (B)x (C)y (D)z\nA:", "choices": ["(A)w", "(B)x", "(C)y", "(D)z"],
          "gold": [1]}, "Q: Why?"),
        ({"context": "It rains.", "question": "Why?", **NUMBERED, "label": 1}, "It rains.\nWhy?"),
        ({"Problem": "Why?", "options": "a ) w , b ) x , c ) y , d ) z", "correct": "b"}, "Why?"),
        ({"question": "Why?", **OPTIONS, "answer": "B", "subject": "s"}, "Why?"),
        ({"question": "Why?", **dict(zip("ABCD", ABCD, strict=True)), "answer": 2, "Human Accuracy": 0.4}, "Why?"),
        ({"question": "Why?", **dict(zip("ABCD", ABCD, strict=True)), "answer": "2", "Human Accuracy": "0.4"}, "Why?"),
        ({"narrative": "It rains.", "question": "Why?", "choices": str(ABCD), "answer_index": 1, "answer_choice": "x"},
         "It rains.\n\nWhy?"),
        ({"question": "Why?", "options": [{"key": text, "value": text} for text in ABCD], "answer": "x"}, "Why?"),
    ],
)  # fmt: skip
def test_choices_of_more_data_sets(tmp_path: Path, row: dict[str, Any], question: str) -> None:
    """MedMCQA, LogiQA, ReClor, RACE, AGIEval, Cosmos QA, MathQA, MedQA, Global-MMLU, KMMLU, which counts from 1, MuSR:
    what a question is about stands before it."""
    example = read(tmp_path, row, "answers")[1]
    assert example.question.startswith(f"{question}\n\nA. w\n")
    assert ("".join(example.choices), example.answer) == ("wxyz", "B")


def numbered(tmp_path: Path, *answers: Any) -> str:
    rows = [{"question": f"Why {n}?", **dict(zip("ABCD", ABCD, strict=True)), "answer": answer}
            for n, answer in enumerate(answers)]  # fmt: skip
    (path := tmp_path / "n.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("answers", "choices_from", "letters"),
    [
        ((1, 2, 0, 3), -1, "BCAD"), ((1, 2, 4), -1, "ABD"), (("1", "0"), -1, "BA"), ((1, 2), 0, "BC"),
        ((1, 2), 1, "AB"), (("B", "A"), -1, "BA"), (("w", "B", 4), -1, "ABD"),
    ],
)  # fmt: skip
def test_numbers_for_letters_count_as_the_rows_tell(
    tmp_path: Path, answers: tuple[Any, ...], choices_from: int, letters: str
) -> None:
    found = read_examples(numbered(tmp_path, *answers), "answers", Reading(choices_from=choices_from))
    assert "".join(example.answer or "" for example in found) == letters


def test_numbers_that_could_count_from_either_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'answer' is 1 or 2 in all rows, .* choices_from = 0 or choices_from = 1"):
        read_examples(numbered(tmp_path, 1, 2, 1), "answers")
    with pytest.raises(InputError, match="must be a choice's letter, number from 0 or text, got 4"):
        list(read_examples(numbered(tmp_path, 0, 4), "answers"))
    with pytest.raises(InputError, match="choices_from = 2: it is 0, 1 or -1"):
        Reading(choices_from=2)


def test_choices_with_labels_are_shuffled(tmp_path: Path) -> None:
    """TruthfulQA has the right choice first."""
    right = set()
    for question in "abcdef":
        targets = {"choices": ["hen", "cow", "pig"], "labels": [1, 0, 0]}
        example = read(tmp_path, {"question": question, "mc1_targets": targets, "mc2_targets": {}})[1]
        assert sorted(example.choices) == ["cow", "hen", "pig"]
        assert example.choices["ABC".index(example.answer or "")] == "hen"
        right.add(example.answer)
    assert right == set("ABC")
    with pytest.raises(InputError, match="'mc1_targets' must have choices with labels, one of them 1"):
        read(tmp_path, {"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}}, "answers")


def test_a_number_that_is_no_choice_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'answer' must be the right choice, 1, 2; got .0."):
        read(tmp_path, {"sentence": "The _ fell.", "option1": "a", "option2": "b", "answer": "0"})


@pytest.mark.parametrize(
    ("row", "letter", "choices"),
    [
        ({"question": "q", "options": ["A)21", "B)22"], "rationale": "r", "correct": "B"}, "B", ("21", "22")),
        ({"question": "q", "options": {"A": "x", "B": "y"}, "answer": "y", "answer_idx": "B"}, "B", ("x", "y")),
        ({"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}, "B", ("x", "y")),
        (
            {"question_stem": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "A"},
            "A",
            ("x", "y"),
        ),
        ({"question": "q", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "C"}, "C", ("1", "2", "3", "4")),
        ({"question": "q", "choices": "['x', 'y']", "answer": "1"}, "B", ("x", "y")),  # as pandas writes it to CSV
        ({"question": "q", "choices": ["3", "2", "1"], "answer": 1}, "B", ("3", "2", "1")),
        ({"question": "q", "choices": ["3", "2", "1"], "answer": "1"}, "C", ("3", "2", "1")),
    ],
)
def test_choices_as_people_write_them(
    tmp_path: Path, row: dict[str, Any], letter: str, choices: tuple[str, ...]
) -> None:
    example = read(tmp_path, row)[1]
    assert (example.answer, example.choices) == (letter, choices)


def test_choices_in_columns_by_name(tmp_path: Path) -> None:
    row = {"q": "Which?", "opts": ["x", "y"], "gold": "y"}
    example = read(tmp_path, row, "answers", columns={"prompt": "q", "choices": "opts", "answer": "gold"})[1]
    assert (example.question.splitlines()[0], example.answer) == ("Which?", "B")


@pytest.mark.parametrize(
    ("row", "letter"),
    [
        (ROWS["MMLU"], "B"),
        ({"question": "Even?", "choices": {"text": ["3", "4"], "label": ["A", "B"]}, "answerKey": "B"}, "B"),
    ],
)
def test_choices_are_learnt_as_letters(tmp_path: Path, row: dict[str, Any], letter: str) -> None:
    example = read(tmp_path, row, "responses")[1]
    assert "A. " in example.question
    assert example.response == letter
    assert read(tmp_path, {**row, "response": "By counting."}, "responses")[1].response == "By counting."
