"""The rule reward, worked out by hand."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.reward.names import logged_names
from r1kit.reward.rule import RewardConfig, failed_score, score_completion
from r1kit.reward.settings import PAID, FormatStyle
from r1kit.structure import structure
from r1kit.tasks.task import Grade

from .fake_tasks import FakeTask

PROMPT = Prompt(id="p", task="fake", question="?", answer="42", language="en")
RIGHT = "<think> hm 等 </think> <answer>42</answer>"
WRONG = "<think> hm ok </think> <answer>41</answer>"
TASK = FakeTask("fake", None)
PAID_LANGUAGE = {**PAID, "language": 0.2}


class HalfTask(FakeTask):
    def grade(self, prompt: Prompt, answer: str) -> Grade:
        return Grade(0.5, answer)


@pytest.mark.parametrize(
    ("text", "finish", "settings", "parts", "total"),
    [
        (RIGHT, "stop", {}, (1, 1, 0.5), 1.2),
        (RIGHT, "stop", {"parts": {"language": 0.2, "format": 1.0, "accuracy": 1.0}}, (1, 1, 0.5), 2.1),
        (RIGHT, "stop", {"parts": {"accuracy": 1.0}}, (1, 1, 0.5), 1.0),
        (RIGHT, "stop", {"parts": {"accuracy": 0.0, "language": -1.0}}, (1, 1, 0.5), -0.5),
        (WRONG, "stop", {}, (0, 1, 1), 0.2),
        (WRONG, "stop", {"parts": PAID_LANGUAGE}, (0, 1, 1), 0.4),
        (WRONG, "stop", {"parts": PAID_LANGUAGE, "language_if_correct": True}, (0, 1, 1), 0.2),
        (RIGHT + " and more", "stop", {}, (1, 0, 0.5), 1.0),
        (RIGHT + " and more", "stop", {"require_format": True}, (0, 0, 0.5), 0.0),
        (RIGHT, "length", {}, (1, 0, 0.5), 1.0),
        (RIGHT, "length", {"truncated": "zero"}, (0, 0, 0.5), 0.0),
        ("<think> hm </think> <answer>42", "length", {}, (0, 0, 1), 0.0),
        ("hm 42", "stop", {"answer_style": "last_number", "format_style": "none"}, (1, 1, 1), 1.2),
        ("hm 42", "length", {"answer_style": "last_number", "format_style": "none"}, (0, 1, 1), 0.2),
    ],
)
def test_by_hand(
    text: str, finish: str, settings: dict[str, object], parts: tuple[float, float, float], total: float
) -> None:
    score = score_completion(TASK, PROMPT, text, finish, RewardConfig(**settings))  # type: ignore[arg-type]
    assert score.parts == dict(zip(("accuracy", "format", "language"), parts, strict=True))
    assert score.total == pytest.approx(total)
    assert score.status == "ok"


def test_the_answer_for_votes_is_canonical_and_absent_when_incomplete() -> None:
    def answer(text: str, finish: str, **settings: object) -> str | None:
        return score_completion(TASK, PROMPT, text, finish, RewardConfig(**settings)).answer  # type: ignore[arg-type]

    assert answer("<answer> A b </answer>", "stop") == "a b"
    assert answer("no tags", "stop") is None
    assert answer("hm 4", "length", answer_style="last_number") is None
    assert answer("<answer>" + "y" * 2000 + "</answer>", "stop") is None


def test_an_answer_that_no_file_can_hold_is_written_with_question_marks() -> None:
    score = score_completion(TASK, PROMPT, "<answer>é \ud800</answer>", "stop", RewardConfig())
    assert score.answer == "é ?"
    assert failed_score(PROMPT, "", "stop", RewardConfig(), "ungradable", "ValueError: \udfff").cause == "ValueError: ?"


def test_partial_credit_is_paid_only_when_asked() -> None:
    half = HalfTask("fake", None)
    assert score_completion(half, PROMPT, WRONG, "stop", RewardConfig()).parts["accuracy"] == 0.0
    assert score_completion(half, PROMPT, WRONG, "stop", RewardConfig(partial_credit=True)).parts["accuracy"] == 0.5


def test_overlong_penalty_by_hand() -> None:
    config = RewardConfig(parts={**PAID, "overlong": 0.5}, overlong_window=20, max_tokens=120)
    lengths = [60, 100, 110, 120, 130]  # longest 120, window 20: DAPO, equation 13
    scores = [score_completion(TASK, PROMPT, RIGHT, "stop", config, length=length) for length in lengths]
    assert [score.parts["overlong"] for score in scores] == [0, 0, -0.5, -1, -1]
    score = score_completion(TASK, PROMPT, RIGHT, "stop", config, length=110)
    assert score.parts["overlong"] == -0.5
    assert score.total == pytest.approx(1.2 - 0.25)


def test_a_failed_score_earns_nothing_and_keeps_its_form() -> None:
    score = failed_score(PROMPT, RIGHT, "stop", RewardConfig(), "timeout", "too\nslow " + "x" * 500)
    assert (score.total, score.parts["format"], score.status, score.answer) == (0.0, 1.0, "timeout", None)
    assert score.cause.startswith("too slow x")
    assert len(score.cause) == 200


@pytest.mark.parametrize("inside", ["_" * 50_000, "\\( " * 20_000, "a" * 50_000, "\\boxed{" * 9_000])
@pytest.mark.parametrize("style", ["think_answer", "boxed"])
def test_no_text_holds_up_the_parent(inside: str, style: FormatStyle) -> None:
    begun = time.process_time()
    text = f"<think>{inside}</think>{inside}<answer>5</answer>"
    failed_score(PROMPT, text, "stop", RewardConfig(format_style=style), "timeout", "slow")
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"answer_style": "tags"}, "Did you mean 'tag'"),
        ({"format_style": "think"}, "Did you mean 'think_answer'"),
        ({"parts": {"acuracy": 1.0}}, "parts are accuracy, format, .* Did you mean 'accuracy'"),
        ({"parts": {"accuracy": float("nan")}}, "reward.parts.accuracy = nan: a weight is a finite number"),
        ({"parts": {"x/a.py:f": 1.0, "b/a.py:f": 1.0}}, "two parts would be logged under one name"),
        ({"parts": {"overlong": 1.0}}, "0 < overlong_window <= max_tokens"),
    ],
)
def test_bad_settings_are_input_errors(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RewardConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["accuracy", "format", "language", "overlong"])
def test_a_weight_that_is_no_setting_says_what_to_write(key: str) -> None:
    with pytest.raises(InputError, match=rf"^stages\.rl\.reward\.{key} is no setting: .* for example reward\.parts = "):
        structure(RewardConfig, {key: 0.2}, "stages.rl.reward")


def test_a_function_is_logged_by_its_file_and_name() -> None:
    parts = ["accuracy", "a.py:brevity", "/x/b.py:loss", "my.rewards:twice"]
    assert list(logged_names(parts).values()) == ["accuracy", "a.py:brevity", "b.py:loss", "my.rewards:twice"]


def test_what_a_rule_raises_costs_accuracy_and_the_total_alone() -> None:
    score = score_completion(TASK, PROMPT, "<think> hm </think> <answer>raise</answer>", "stop", RewardConfig())
    assert (score.total, score.status, score.cause) == (0.0, "ungradable", "ValueError: cannot parse")
    assert score.parts == {"accuracy": 0.0, "format": 1.0, "language": 1.0}


def test_importing_the_reward_package_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, r1kit.reward.verifier; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
