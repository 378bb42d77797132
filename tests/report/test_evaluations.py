from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1kit.recipe import tomllib
from r1kit.report.read.evaluations import Comparison, Curve, compare, gist, main_curves, majority_above
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_verdict import stage_verdict
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.wording import duration, settable, share, short

WriteRun = Callable[..., Path]


def comparison(before: dict[str, Any], after: dict[str, Any]) -> Comparison:
    rows = [{"step": 0, **before}, {"step": 9, **after}]
    return Comparison(curve=Curve(task="sums", split="test", k=16, rows=rows), before=rows[0], after=rows[1])


def test_the_verdict_states_the_test_split_in_one_sentence(write_run: WriteRun, tmp_path: Path) -> None:
    assert stage_verdict(RunFolder(write_run(tmp_path / "run"))) == (
        "R1-Zero lifted countdown avg@16 from .111 to .902 [.88, .92]; majority .47 → .97; "
        "responses grew from 31 to 67 tokens."
    )


def test_an_unfinished_run_says_how_far_it_is(write_run: WriteRun, tmp_path: Path) -> None:
    said = stage_verdict(RunFolder(write_run(tmp_path / "run", steps=40, done=False)))
    assert said.startswith("R1-Zero, so far (step 40 of 110), lifted countdown avg@16 from .111 to .774")


@pytest.mark.parametrize(
    ("old", "new", "verb"),
    [
        ([0.1, 0.2], [0.3, 0.4], "lifted"),
        ([0.3, 0.4], [0.1, 0.2], "lowered"),
        ([0.1, 0.25], [0.2, 0.4], "did not clearly move"),
    ],
)
def test_a_change_is_claimed_only_when_the_intervals_are_apart(
    tmp_path: Path, old: list[float], new: list[float], verb: str
) -> None:
    rows = [
        {"step": step, "task": "sums", "split": "test", "k": 4, "avg_at_k": sum(ends) / 2, "interval": ends}
        for step, ends in ((0, old), (5, new))
    ]
    folder = tmp_path / "01_r1_zero"
    folder.mkdir()
    (folder / "eval.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "result.json").write_text('{"stage": "r1_zero"}')
    assert stage_verdict(RunFolder(tmp_path)).startswith(f"R1-Zero {verb} sums avg@4 from")


def test_test_is_compared_and_dev_is_drawn(write_run: WriteRun, tmp_path: Path) -> None:
    stage = RunFolder(write_run(tmp_path / "run")).stages[1]
    assert [found.curve.split for found in compare(stage.evals)] == ["test"]
    assert [curve.split for curve in main_curves(stage.evals)] == ["dev"]


def test_several_tasks_have_a_curve_each(tmp_path: Path) -> None:
    rows = [{"step": step, "task": task, "k": 2, "avg_at_k": 0.5} for step in (0, 4) for task in ("sums", "words")]
    (tmp_path / "eval.jsonl").write_text("\n".join(map(json.dumps, rows)))
    stage = StageFolder(tmp_path, "r1_zero")
    assert [curve.task for curve in main_curves(stage.evals)] == ["sums", "words"]
    assert [found.curve.task for found in compare(stage.evals)] == ["sums", "words"]


def test_the_lift_splits_into_format_and_reasoning() -> None:
    """.1 = .5 x .2 and .6 = 1.0 x .6: six times in all, twice by format, three times by reasoning."""
    before = {"avg_at_k": 0.1, "format_rate": 0.5, "accuracy_given_format": 0.2}
    after = {"avg_at_k": 0.6, "format_rate": 1.0, "accuracy_given_format": 0.6}
    said = gist(comparison(before, after))
    assert said.startswith(
        "Of the ×6.0 in accuracy, ×2.0 is more answers in the required format and ×3.0 is more right"
    )
    assert gist(comparison(before | {"avg_at_k": 0.0}, after)) == ""


def test_table_rows_hold_changes_by_hand() -> None:
    before = {"avg_at_k": 0.25, "interval": [0.2, 0.3], "response_tokens": 30.0, "diagnostics": {"tries": 0.5}}
    after = {"avg_at_k": 0.125, "interval": [0.1, 0.2], "response_tokens": 45.0, "diagnostics": {"tries": 1.0}}
    rows = {row.name: (row.before, row.after, row.change) for row in comparison(before, after).changes}
    assert rows == {
        "avg@16": (".250 [.20, .30]", ".125 [.10, .20]", "−.125"),
        "response length": ("30", "45", "×1.50"),
        "tries": ("0.5", "1", "×2.00"),
    }


def test_majority_above_counts_evaluations_with_both() -> None:
    rows = [{"step": 0, "cons_at_k": 0.5, "avg_at_k": 0.4}, {"step": 1, "cons_at_k": 0.4, "avg_at_k": 0.4}, {"step": 2}]
    assert majority_above(Curve(task="t", split="dev", k=4, rows=rows)) == (1, 2)


def test_values_as_a_recipe_writes_them() -> None:
    for value in (0.2, 1e-5, 3, True, "think_answer", [0.9, 0.95], {"k": 4, "of": ["a"]}):
        assert tomllib.loads(f"value = {settable(value)}") == {"value": value}


def test_numbers_as_a_person_writes_them() -> None:
    assert [share(0.902), share(1.0), share(-0.5, 1), share(None)] == [".902", "1.000", "-.5", "–"]
    assert [short(66.84), short(1240.0), short(12345.6), short(0.00312), short(0)] == [
        "66.8",
        "1240",
        "12,346",
        "0.00312",
        "0",
    ]
    assert [short(1e308), short(-2.5e15), short(999_999.0)] == ["1.00e+308", "-2.50e+15", "999,999"]
    assert [duration(42), duration(230), duration(7500)] == ["42 s", "3 min 50 s", "2 h 05 min"]
