"""The cases that are completions: what is taken out of them, and whether that is right."""

from __future__ import annotations

from typing import Any

import pytest

from r1kit.answers.grade import equal
from r1kit.reward.extract import extract_answer
from r1kit.reward.format import format_reward
from r1kit.reward.settings import AnswerStyle

from .table import CASES


def of(kind: str) -> list[dict[str, Any]]:
    return [case for case in CASES if case["kind"] == kind]


@pytest.mark.parametrize("case", of("boxed completion"), ids=lambda case: case["id"])
def test_a_boxed_completion_is_judged(case: dict[str, Any]) -> None:
    answer = extract_answer(case["answer"], "boxed")
    assert (answer is not None and equal(case["reference"], answer)) is case["right"]


@pytest.mark.parametrize(
    ("case", "style"),
    [(case, "boxed") for case in of("boxed extraction")] + [(case, "last_number") for case in of("last number")],
    ids=lambda value: value["id"] if isinstance(value, dict) else value,
)
def test_an_answer_is_taken_out(case: dict[str, Any], style: AnswerStyle) -> None:
    assert extract_answer(case["answer"], style) == case["right"]


@pytest.mark.parametrize("case", [case for case in of("form") if case["answer"].startswith("<")], ids=lambda c: c["id"])
def test_a_form_is_earned(case: dict[str, Any]) -> None:
    assert format_reward(case["answer"], "stop", "think_answer") == case["right"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("a loss of -$3", "-3"), ("so −\\$4.50.", "-4.50"), ("$9-$3", "3"), ("from $5 to -€7", "-7"), ("5 - $2", "2")],
)
def test_a_sign_may_stand_before_money(text: str, number: str) -> None:
    assert extract_answer(text, "last_number") == number


@pytest.mark.parametrize(
    "space", ["", " \n", "\u200b", "\ufeff \u2060", "\u2800", "\u3164", "\u00ad", "\ufe0f\U000e0020"]
)
def test_space_of_no_width_is_no_thinking(space: str) -> None:
    assert format_reward(f"<think>{space}</think><answer>7</answer>", "stop", "think_answer") == 0.0
    assert format_reward(f"<think>a</think><answer>{space}</answer>", "stop", "think_answer") == 0.0
