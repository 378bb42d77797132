"""Each layout from one written row: what is taken as prompt, answer, response, system prompt, pair, label, text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.example import WANTED, Example
from r1kit.data.layouts import Examples, read_examples
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.records import Message

USER = {"role": "user", "content": "How many legs have 3 ants?"}
ASSISTANT = {"role": "assistant", "content": "Six each: 18."}
SYSTEM = {"role": "system", "content": "Be brief."}

ROWS: dict[str, dict[str, Any]] = {
    "GSM8K": {"question": "A hen lays 2 eggs a day. A week?", "answer": "2*7=<<2*7=14>>14\n#### 14"},
    "MATH": {"problem": "Half of 1?", "level": "Level 1", "type": "x", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
    "NuminaMath": {"source": "x", "problem": "2 + 3?", "solution": "We get \\boxed{5}.", "messages": [USER, ASSISTANT]},
    "OpenR1-Math": {
        "problem": "2 + 3?", "solution": "By counting.", "answer": "5", "generations": ["x" * 3000], "uuid": "u1",
        "messages": [USER, ASSISTANT],
    },
    "DeepScaleR": {"problem": "2 + 3?", "answer": "5", "solution": "By counting."},
    "Big-Math": {"problem": "2 + 3?", "answer": "5", "source": "x", "domain": ["y"], "llama8b_solve_rate": 0.5},
    "DAPO-Math, verl": {
        "data_source": "x", "prompt": [USER], "ability": "MATH", "extra_info": {"index": "7"},
        "reward_model": {"ground_truth": "18", "style": "rule"},
    },
    "Countdown-Tasks": {"nums": [44, 19, 35], "target": 98},
    "MMLU": {"question": "Which is a bird?", "subject": "x", "choices": ["cow", "hen", "pig", "eel"], "answer": 1},
    "GPQA": {
        "Question": "Which is a bird?", "Correct Answer": "hen", "Incorrect Answer 1": "cow",
        "Incorrect Answer 2": "pig", "Incorrect Answer 3": "eel", "Subdomain": "x",
    },
    "messages": {"messages": [SYSTEM, USER, ASSISTANT]},
    "ShareGPT": {"conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Yes?"}]},
    "Alpaca": {"instruction": "Add.", "input": "2 and 3", "output": "5"},
    "text": {"text": "Ants have six legs."},
}  # fmt: skip


def read(path: Path, row: dict[str, Any], wanted: Any = None, **reading: Any) -> tuple[Examples, Example]:
    file = path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    examples = read_examples(str(file), wanted, Reading(**reading))
    return examples, next(iter(examples))


@pytest.mark.parametrize("name", ROWS)
def test_each_layout_is_recognised_by_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, ROWS[name])[0].layout.name == name


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("GSM8K", "A hen lays 2 eggs a day. A week?", "14"),
        ("MATH", "Half of 1?", "\\frac{1}{2}"),
        ("NuminaMath", "2 + 3?", "5"),
        ("OpenR1-Math", "2 + 3?", "5"),
        ("DeepScaleR", "2 + 3?", "5"),
        ("Big-Math", "2 + 3?", "5"),
        ("DAPO-Math, verl", "How many legs have 3 ants?", "18"),
    ],
)
def test_maths_layouts(tmp_path: Path, name: str, question: str, answer: str) -> None:
    example = read(tmp_path, ROWS[name], "answers")[1]
    assert (example.question, example.answer, example.before) == (question, answer, ())


def test_a_long_column_is_no_fact(tmp_path: Path) -> None:
    example = read(tmp_path, ROWS["OpenR1-Math"], "answers")[1]
    assert example.facts["uuid"] == "u1"
    assert "generations" not in example.facts


def test_choices_are_lettered_and_the_answer_is_the_letter(tmp_path: Path) -> None:
    example = read(tmp_path, ROWS["MMLU"])[1]
    assert example.question.startswith("Which is a bird?\n\nA. cow\nB. hen\nC. pig\nD. eel\n")
    assert example.answer == "B"
    shuffled = read(tmp_path, ROWS["GPQA"])[1]
    assert shuffled.choices["ABCD".index(shuffled.answer or "")] == "hen"
    assert sorted(shuffled.choices) == ["cow", "eel", "hen", "pig"]


def test_a_chat_is_what_stands_before_a_question_and_a_response(tmp_path: Path) -> None:
    example = read(tmp_path, ROWS["messages"], "responses")[1]
    assert (example.question, example.response) == (USER["content"], ASSISTANT["content"])
    assert example.before == (Message(role="system", content="Be brief."),)
    assert [turn.role for turn in example.messages] == ["system", "user", "assistant"]


def test_a_column_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'anser': the row has 'answer', ") as caught:
        read(tmp_path, ROWS["DeepScaleR"], columns={"answer": "anser"})
    assert "\n" not in str(caught.value)


def test_every_wish_is_tried(tmp_path: Path) -> None:
    assert [read(tmp_path, {"text": "x"}, wish)[0].layout.name for wish in WANTED if wish == "text"] == ["text"]
