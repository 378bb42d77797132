"""What chains say beside their answers: equations read by hand, and runs whose chains are ill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ill import found, rollout, written

from r1kit.report.read.illnesses.arithmetic import equations


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("12 - 5 = 7", [True]),
        ("try 12 - 5 = 6 yes 7 + 1 = 8.", [False, True]),
        ("5 - 5 = 0 + 12 = 12 low", [True, True]),  # goes on from what it found
        ("2 * (3 + 4) = 2 * 7 = 14", [True, True]),  # says the same again
        ("8 - 6 * 3 = 6, 8 - 6 * 3 = -10, 8 - 6 * 3 = 7", [True, True, False]),  # from the left, by precedence, neither
        ("8 - 3 = 10 / 2", [True]),
        ("10 / 3 = 3.33, 10 / 3 = 3.34, 10/3 ≈ 3", [True, False, True]),
        ("1,000 + 2,000 = 3,000", [True]),
        ("$5+3=8$ and 3 \\times 4 = 12, 7 × 2 = 15", [True, True, False]),
        ("-3 + 5 = 2, (1 + 2) * 3 = 9", [True, True]),
        ("1 / 0 = 4", []),
        ("2x + 3 = 7, x - 5 = 7, a5 + 3 = 8, 5 + 3 = 8x, f(3) = 9, y = 3 + 4", []),
        ("2^3 + 1 = 9, 17 % 5 = 2, 3 + 4 == 7, 3 + 4 <= 7", []),
        ("no sum here", []),
    ],
)
def test_equations(text: str, holds: list[bool]) -> None:
    assert list(equations(text)) == holds


@pytest.mark.parametrize("text", ["(" * 200_000, "1 + " * 50_000, "9" * 200_000, "1 " * 100_000, "1 + 1 = " * 50_000])
def test_no_text_takes_long(text: str) -> None:
    assert all(held in (True, False) for held in equations(text))


def chain(step: int, wrong: bool) -> dict[str, Any]:
    """Four equations and a right answer."""
    total = step + 3 + wrong
    said = f"<think> {step} + 3 = {total} and 2 * 3 = {6 + wrong} so 4 - 1 = {3 - wrong} and 1 + 1 = 2 </think> ok"
    return rollout(step, said, parts={"accuracy": 1.0}, answer="x")


def test_right_answers_behind_wrong_sums(tmp_path: Path) -> None:
    """From step 31 on three of four equations do not hold: 60 x 3 of 120 x 4. Of 32 completions, taken in strides of 8,
    .3 of 128 equations are wrong from 13 ill ones on: those that begin with step 25 have 20, with step 21 only 12."""
    run = written(tmp_path, 60, rollouts=(chain(step, step > 30) for step in range(1, 61) for _ in range(2)))
    ill = found(run)["decorative reasoning"]
    assert (
        "in the 120 right ones of the last 120 recorded completions 180 of 480 equations (38%) do not hold" in ill.seen
    )
    assert ill.since == 25
    assert ill.example is not None
    assert ill.example.says == "right, and 3 of its 4 equations do not hold"


def test_sums_that_hold_and_answers_that_are_wrong_are_no_decoration(tmp_path: Path) -> None:
    fine = (chain(step, wrong=False) for step in range(1, 61))
    assert found(written(tmp_path / "a", 60, rollouts=fine)) == {}
    lost = ({**chain(step, wrong=True), "parts": {"accuracy": 0.0}} for step in range(1, 61))
    assert found(written(tmp_path / "b", 60, rollouts=lost)) == {}


def test_the_task_s_own_diagnostic_counts_where_it_has_one(tmp_path: Path) -> None:
    row = {"step": 40, "task": "t", "split": "dev", "avg_at_k": 0.8, "diagnostics": {"arithmetic_right": 0.3}}
    ill = found(written(tmp_path, 40, evals=[row]))["decorative reasoning"]
    assert ill.seen == "t says that .300 of its chains' steps are right, and accuracy is .800"


def test_chains_that_leave_the_language(tmp_path: Path) -> None:
    """.9 to step 20, .4 from then on."""
    ill = found(written(tmp_path, 40, lambda step: {"language": 0.9 if step <= 20 else 0.4}))["language mixing"]
    assert (ill.since, ill.setting) == (21, "r1_zero.reward.parts.language")
    assert ill.seen == "the share of words in the question's language fell from .900 to .400"
