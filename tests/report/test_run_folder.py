from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import number


def test_a_folder_without_a_run_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder at"):
        RunFolder(tmp_path / "missing")
    with pytest.raises(InputError, match=r"holds no recipe\.toml"):
        RunFolder(tmp_path)


def test_a_torn_last_line_is_left_out(write_run: Callable[..., Path], tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    with (path / "02_r1_zero" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 111, "reward": 0.9')
    assert RunFolder(path).stages[1].steps_done == 110


def test_a_repeated_step_counts_once_and_the_newest_wins(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 9.0}, {"step": 2, "loss": 8.0}, {"step": 1, "loss": 7.0}]
    (tmp_path / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert [row["loss"] for row in StageFolder(tmp_path, "pretrain").metrics] == [7.0, 8.0]


def test_what_other_settings_left_is_no_stage(write_run: Callable[..., Path], tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    (path / "02_r1_zero.before-1").mkdir()
    run = RunFolder(path)
    assert [stage.name for stage in run.stages] == ["pretrain", "r1_zero"]
    assert run.stages[1].set_aside == ["02_r1_zero.before-1"]


def test_the_recipe_says_stages_and_steps(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run"))
    assert run.planned == ["pretrain", "r1_zero"]
    assert run.planned_steps("r1_zero") == 110
    assert run.planned_steps("sft") is None


@pytest.mark.parametrize(
    ("value", "found"), [(2, 2.0), (float("nan"), None), (float("inf"), None), (True, None), ("3", None)]
)
def test_number_takes_finite_numbers_only(value: object, found: float | None) -> None:
    assert number({"field": value}, "field") == found
