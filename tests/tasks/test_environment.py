"""Environments of the verifiers package: a real one, built in ``environments/r1kit_sums.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError
from r1kit.records import Completion, Group
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec, build

RIGHT = "<think> a </think> <answer>1</answer>"


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "verifiers", None)
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[verifiers\]'"):
        build("sums", "verifiers/sums", {})


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("verifiers")
    folder = Path(__file__).with_name("environments")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    return folder


def test_its_data_its_parser_and_its_rubric(here: Path) -> None:
    task = build("sums", "verifiers/r1kit-sums", {})
    assert [prompt.question for prompt in task.held_out("test")] == [f"Add.\n\n{n} + 1 =" for n in range(100, 105)]
    asked = {task.train(index).question for index in range(200)}
    assert asked.isdisjoint(prompt.question for prompt in task.held_out("dev"))
    assert len(asked) + len(task.held_out("dev")) == 60
    prompt = next(p for p in map(task.train, range(200)) if p.answer == "1" or p.answer == "2")
    right = RIGHT.replace(">1<", f">{prompt.answer}<")
    assert task.grade(prompt, right).correct == 1.0, "0.8 + 0.4 * 0.5"
    assert task.grade(prompt, right.replace(" a ", " a " * 40)).correct == 0.8
    assert task.grade(prompt, "x").correct == pytest.approx(0.2)
    assert task.grade(prompt, right).canonical == prompt.answer
    assert task.diagnose(prompt, right) == {"correct": 1.0, "short": 0.5}


def test_without_evaluation_data_the_test_split_is_cut_from_the_others(here: Path) -> None:
    task = build("sums", "verifiers/r1kit-sums", {"arguments": {"own_tests": False}, "test_share": 0.3})
    held = {prompt.question for split in ("dev", "test") for prompt in task.held_out(split)}  # type: ignore[arg-type]
    asked = {task.train(index).question for index in range(200)}
    assert held.isdisjoint(asked)
    assert len(held | asked) == 60


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("multi", "is a Turns, which may take several turns; only single-turn environments"),
        ("grouped", "compared of its rubric compares completions with one another"),
        ("broken", "ZeroDivisionError: no data today"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_line(here: Path, kind: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        build("sums", "verifiers/r1kit-sums", {"arguments": {"kind": kind}})
    assert "\n" not in str(caught.value)


def test_an_environment_that_is_not_installed(here: Path) -> None:
    with pytest.raises(InputError, match=r"verifiers/nosuch: .*No module named 'nosuch'"):
        build("sums", "verifiers/nosuch", {})


def test_the_verifier_s_process_scores_with_the_rubric(here: Path) -> None:
    spec = Spec("verifiers/r1kit-sums", {})
    prompt = build("sums", *spec).train(0)
    texts = (f"<think> a </think> <answer>{prompt.answer}</answer>", "no tags, and far too many words " * 4)
    completions = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
    with Verifier({"sums": spec}, {"sums": RewardConfig(answer_style="last_number")}) as verifier:
        (row,) = verifier.score_groups([Group(prompt=prompt, prompt_ids=(1,), completions=completions)])
    assert [(score.status, score.parts["accuracy"]) for score in row] == [("ok", 1.0), ("ok", 0.0)]
