"""Several runs beside each other: what differs, what each came to, seeds together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.sweep import Seen, columns, differing, over_seeds


def made(folder: Path, accuracy: float, *, seed: int, lr: float, more: str = "", **row: Any) -> RunFolder:
    stage = folder / "01_r1_zero"
    stage.mkdir(parents=True)
    (folder / "recipe.toml").write_text(
        f'name = "{folder.name}"\nseed = {seed}\n[tasks.sums]\nkind = "countdown"\n[stages.r1_zero]\n{more}\n'
        f"[stages.r1_zero.optimiser]\nlr = {lr}\n"
    )
    rows = [
        {"step": 0, "split": "test", "avg_at_k": 0.05},
        {"step": 10, "split": "test", "avg_at_k": accuracy, "interval": [accuracy - 0.1, accuracy + 0.1], **row},
        {"step": 10, "split": "dev", "avg_at_k": 0.9},
        {"step": 10, "task": "chat", "split": "test"},
    ]
    (stage / "eval.jsonl").write_text("".join(json.dumps({"task": "sums", "k": 4} | each) + "\n" for each in rows))
    return RunFolder(folder)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, RunFolder]:
    seeds = {f"s{n}": made(tmp_path / f"s{n}", 0.1 * n, seed=n, lr=0.001) for n in (1, 2, 3)}
    return seeds | {"high": made(tmp_path / "high", 0.4, seed=1, lr=0.01, more="steps = 7")}


def test_settings_that_differ_are_named(runs: dict[str, RunFolder]) -> None:
    assert differing(runs) == {
        "seed": {"s1": "1", "s2": "2", "s3": "3", "high": "1"},
        "r1_zero.optimiser.lr": {"s1": "0.001", "s2": "0.001", "s3": "0.001", "high": "0.01"},
        "r1_zero.steps": {"s1": "–", "s2": "–", "s3": "–", "high": "7"},
    }


def test_seeds_are_one_column_with_student_s_interval(runs: dict[str, RunFolder]) -> None:
    """.1 .2 .3: s = .1, and t of two degrees of freedom is 4.303, so half of it is 4.303 x .1 / sqrt(3) = .2484."""
    together, alone = columns(runs)
    assert (together.runs, alone.runs) == (["s1", "s2", "s3"], ["high"])
    seen = together.found["r1_zero sums test avg@4"]
    assert (seen.value, seen.ends) == (pytest.approx(0.2), pytest.approx((-0.0484, 0.4484), abs=1e-4))
    assert alone.found == {"r1_zero sums test avg@4": Seen(0.4, (pytest.approx(0.3), pytest.approx(0.5)))}
    assert over_seeds([Seen(0.4, None)]) == Seen(0.4, None)
    twenty_one = over_seeds([Seen(float(n % 2), None) for n in range(21)])  # t of 20 is 2.086, s = .5118
    assert twenty_one.ends == pytest.approx((10 / 21 - 0.2330, 10 / 21 + 0.2330), abs=5e-4)


def test_the_command_prints_both_tables(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["report", *(str(tmp_path / name) for name in runs)], catch_exceptions=False)
    lines = said.output.splitlines()
    assert lines[3] == "| r1_zero.optimiser.lr | 0.001 | 0.001 | 0.001 | 0.01 |"
    assert lines[6] == "| newest accuracy         | s1, s2, s3 (3 seeds) | high            |"
    assert lines[8] == "| r1_zero sums test avg@4 | .200 [-.05, .45]     | .400 [.30, .50] |"
    assert not list(tmp_path.glob("*/report.html"))
    twice = CliRunner().invoke(app, ["report", str(tmp_path / "s1"), str(tmp_path / "s1")])
    assert "is named twice" in str(twice.exception)
    other = CliRunner().invoke(app, ["report", *[str(tmp_path / name) for name in ("s1", "s2")],
                                     "--without-language", str(tmp_path / "s3")])  # fmt: skip
    assert "for the report of one run" in str(other.exception)


def test_runs_that_are_alike_or_not_begun(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made(tmp_path / name, 0.1, seed=1, lr=0.1)
        (tmp_path / name / "01_r1_zero/eval.jsonl").unlink()
    said = CliRunner().invoke(app, ["report", str(tmp_path / "a"), str(tmp_path / "b")], catch_exceptions=False)
    assert said.output.splitlines()[:3] == ["All settings are alike.", "", "No evaluation is there yet."]
