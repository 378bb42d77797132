"""Reference answers that no answer can meet are found when the task is built, and said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from r1kit.answers.reference import doubt_about, hopeless
from r1kit.cli import app
from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.tasks import Spec, build_spec

HOPELESS = ["nan", "NaN", "-nan", "<NA>", "NaT", "null", "N/A", "4 + 3 = 7\n#### 7", "so \\boxed{4}"]
MET = [
    "7", "none", "Nancy", "\\infty", "inf", "\\{\\}", "\\boxed{4}", "$\\boxed{\\frac{1}{2}}$.", "# 4", "x = 5", "1e-05",
    "no solution",
]  # fmt: skip


@pytest.mark.parametrize("reference", HOPELESS)
def test_no_answer_can_meet_it(reference: str) -> None:
    assert hopeless(reference)


@pytest.mark.parametrize("reference", MET)
def test_an_answer_can_meet_it(reference: str) -> None:
    assert not hopeless(reference)


@pytest.mark.parametrize(
    ("reference", "doubted"),
    [
        ("100\\text{ square units}", False),
        ("\\$6", False),
        ("1e-05", False),
        ("x^2+2xy+y^2", False),
        ("$x=-4$ or $x=9$", False),
        ("Evelyn", False),
        ("\\int_0^1 x\\,dx", True),
        ("\\frac{1}{2", True),
        ("x" * 2000, True),
    ],
)
def test_what_only_the_same_text_can_meet(reference: str, doubted: bool) -> None:
    assert bool(doubt_about(reference)) is doubted


def written(path: Path, *answers: Any) -> str:
    path.write_text("".join(json.dumps({"prompt": f"q{n}", "answer": one}) + "\n" for n, one in enumerate(answers)))
    return str(path)


BAD = ("7", "NaN", "\\frac{1}{2}", "4 + 3 = 7\n#### 7", "\\int_0^1 x\\,dx", "8", "so it is \\boxed{9}")


@pytest.mark.parametrize("kind", ["jsonl", "data"])
def test_they_are_refused_with_their_lines_or_left_out(tmp_path: Path, kind: str) -> None:
    answers = [one for one in BAD if kind == "jsonl" or "####" not in one]  # data takes what follows ####
    table = {"path": written(tmp_path / "f.jsonl", *answers), "dev_share": 0.0, "test_share": 0.0}
    with pytest.raises(InputError) as refused:
        build_spec("t", Spec(kind, table)).train(0)
    told = str(refused.value)
    count = len(answers) - 4
    assert told.startswith(f"{count} of {len(answers)} reference answers can be met by no answer: ")
    assert "f.jsonl:2: NaN stands for a missing answer" in told
    assert told.endswith('mend them, or set bad_lines = "skip"')
    task = build_spec("t", Spec(kind, {**table, "bad_lines": "skip"}))
    assert sorted(str(task.train(index).answer) for index in range(4)) == ["7", "8", "\\frac{1}{2}", "\\int_0^1 x\\,dx"]
    left_out, doubted = task.doubts()
    assert left_out.startswith(f"left out: {count} of {len(answers)} reference answers")
    assert doubted.startswith(f"1 of {len(answers)} reference answers can be met by the same text alone: ")
    assert "not read as mathematics or words" in doubted


def test_a_task_that_compares_text_takes_any(tmp_path: Path) -> None:
    path = written(tmp_path / "f.jsonl", *BAD)
    task = build_spec("t", Spec("jsonl", {"path": path, "rule": "exact", "dev_share": 0.0, "test_share": 0.0}))
    assert {task.train(index).answer for index in range(len(BAD))} == set(BAD)


def test_a_number_in_the_file_is_the_number_that_is_asked_for(tmp_path: Path) -> None:
    table = {"path": written(tmp_path / "f.jsonl", 0.00001), "dev_share": 0.0, "test_share": 0.0}
    task = build_spec("t", Spec("jsonl", table))
    prompt = task.train(0)
    for answer in ("0.00001", "10^{-5}", "1e-5", "\\frac{1}{100000}"):
        assert task.grade(prompt, answer).correct == 1.0
    for answer in ("e - 5", "0.0001"):
        assert task.grade(prompt, answer).correct == 0.0


def test_check_warns_of_what_is_compared_as_text(tmp_path: Path) -> None:
    path = written(tmp_path / "f.jsonl", *(str(number) for number in range(40)), "\\int_0^1 x\\,dx")
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'[tasks.t]\nkind = "jsonl"\npath = "{path}"\ntest_share = 0.2\ndev_share = 0.2\n'
        '[stages.pretrain]\nevaluation = {tasks = ["t"]}\ncorpus = {shares = {countdown = 1.0}}\n[tasks.countdown]\n'
    )
    found = CliRunner().invoke(app, ["check", str(recipe)])
    assert found.exit_code == 0, found.exception
    assert "warning: tasks.t: 1 of 41 reference answers can be met by the same text alone" in found.stderr


def test_right_answers_are_one_vote(tmp_path: Path) -> None:
    table = {"path": written(tmp_path / "f.jsonl", "2\\sqrt{2}"), "dev_share": 0.0, "test_share": 0.0}
    for kind in ("jsonl", "data"):
        task = build_spec("t", Spec(kind, table))
        prompt: Prompt = task.train(0)
        answers = ["2\\sqrt{2}", "\\sqrt{8}", "\\sqrt{2} \\cdot 2", "2\\sqrt{2}\\text{ cm}", "3", "\\sqrt{9}"]
        votes = [task.grade(prompt, answer).canonical for answer in answers]
        assert len(set(votes[:4])) == 1
        assert votes[4] == votes[5] == "3"
