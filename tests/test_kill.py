"""A run that is killed again and again, and goes on, ends with the same bits as one that never was."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kill_resume import MOMENTS, contents, differences, finish, kill_at, repetition

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@pytest.mark.parametrize(
    ("ranks", "kills"),
    [
        (1, [("the base's checkpoint half written", None), ("RL's resume point half written", None)]),
        (2, [("pretraining", 1), ("RL", None)]),
    ],
)
def test_killed_and_resumed_equals_straight(ranks: int, kills: list[tuple[str, int | None]], tmp_path: Path) -> None:
    finish(tmp_path / "straight", ranks)
    for moment, single in kills:
        kill_at(tmp_path / "killed", ranks, MOMENTS[moment], single)
        assert not (tmp_path / "killed/report.html").exists()
    finish(tmp_path / "killed", ranks)
    assert differences(contents(tmp_path / "straight"), contents(tmp_path / "killed")) == []


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_ten_times_in_a_row(ranks: int, tmp_path: Path) -> None:
    seconds = finish(tmp_path / "straight", ranks)
    expected = contents(tmp_path / "straight")
    for seed in range(10):
        repetition(tmp_path, ranks, seed, 6, expected, seconds)


def test_the_comparison_sees_a_changed_bit_a_lost_line_and_a_stray_file(tmp_path: Path) -> None:
    def run(name: str, lines: str, weights: bytes, stray: bool) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.html").write_text(name)
        (tmp_path / name / "metrics.jsonl").write_text(lines)
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        if stray:
            (tmp_path / name / ".state.json.new").touch()
        return tmp_path / name

    one = contents(run("one", '{"step": 1, "seconds": 1.5, "loss": 2}\n{"step": 2}\n', b"\0\1", False))
    same = contents(run("same", '{"step": 1, "seconds": 9, "loss": 2}\n{"step": 2}\n', b"\0\1", False))
    other = contents(run("other", '{"step": 1, "seconds": 1.5, "loss": 2.1}\n', b"\0\2", True))
    assert differences(one, same) == []
    assert differences(one, other) == [
        ".state.json.new: only in one of the runs",
        "metrics.jsonl: 2 and 1 lines, first difference at 0",
        "model.safetensors: differs",
    ]
