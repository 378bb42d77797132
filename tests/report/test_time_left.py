"""Time left, on simulated clocks: by hand, and against two runs that were recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from recorded_run import EPOCH, Recorded

from r1kit.errors import InputError
from r1kit.plan.cost import NOTHING, Plan, Work
from r1kit.plan.devices import DEVICES
from r1kit.plan.planner import plan_pieces, plan_recipe, shape_of
from r1kit.plan.stage_cost import Piece
from r1kit.recipe import load_recipe
from r1kit.report.read import time_left as module
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.time_left import time_left
from r1kit.report.read.wording import about, roughly


def planned(monkeypatch: pytest.MonkeyPatch, pieces: dict[str, list[Piece] | None]) -> None:
    monkeypatch.setattr(module, "_planned", lambda path, text: pieces)


def rl(steps: int, seconds: float, look: float = 0.0, ends: float = 0.0, every: int = 0) -> Piece:
    works = {"work": Work(seconds=seconds), "look": Work(seconds=look), "ends": Work(seconds=ends)}
    return Piece(sort="rl", every=every, steps=steps, **works)


def write(folder: Path, seconds: list[float], evals: tuple[int, ...] = (), at: float = EPOCH) -> None:
    folder.mkdir(parents=True)
    rows = [{"step": n, "seconds": value} for n, value in enumerate(seconds, start=1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "eval.jsonl").write_text("".join(json.dumps({"step": n, "task": "t", "k": 1}) + "\n" for n in evals))
    for file in folder.iterdir():
        os.utime(file, (at, at))


def run_of(path: Path, **steps: int) -> RunFolder:
    path.mkdir(exist_ok=True)
    (path / "recipe.toml").write_text("".join(f"[stages.{name}]\nsteps = {n}\n" for name, n in steps.items()))
    return RunFolder(path)


def test_a_running_stage_goes_on_at_its_pace_its_evaluations_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 steps of 2 s; 6 s before the first, 3 s before the sixth. 8 are done: 12 more steps, looks at 10 and 15, the
    closing ones as long as the opening ones: 24 + 6 + 6 = 36 s."""
    planned(monkeypatch, {"rl": [rl(20, 100.0, look=1.0, ends=1.0, every=5)]})
    write(tmp_path / "01_rl", [8, 10, 12, 14, 16, 21, 23, 25], evals=(0, 5))
    run = run_of(tmp_path, rl=20)
    assert time_left(run, EPOCH).run == pytest.approx(36)
    assert time_left(run, EPOCH + 1.5).run == pytest.approx(34.5)
    assert time_left(run, EPOCH + 500).run == pytest.approx(34), "a step that hangs takes no more than its own time off"


def test_a_first_step_counts_by_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 s until it was done, 28.5 of which opened the engine and evaluated: 59 steps more of 1.5 s."""
    planned(monkeypatch, {"rl": [rl(60, 100.0)]})
    write(tmp_path / "01_rl", [30.0], evals=(0,))
    log = tmp_path / "01_rl" / "metrics.jsonl"
    parts = {"step": 1, "seconds": 30.0, "sample_seconds": 1.2, "score_seconds": 0.1, "update_seconds": 0.2}
    log.write_text(json.dumps(parts) + "\n")
    os.utime(log, (EPOCH, EPOCH))
    assert time_left(run_of(tmp_path, rl=60), EPOCH).run == pytest.approx(59 * 1.5)


def test_the_last_evaluation_is_time_left_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, {"rl": [rl(4, 100.0, look=1.0, ends=1.0, every=5)]})
    write(tmp_path / "01_rl", [8, 10, 12, 14], evals=(0,))
    run = run_of(tmp_path, rl=4)
    assert time_left(run, EPOCH + 2).run == pytest.approx(4)
    assert time_left(run, EPOCH + 60).run == 0


def test_a_stage_that_waits_is_as_slow_as_those_of_its_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning took twice what was planned, RL thrice: 10 s planned of each are 20 and 30; of another sort, what all
    took: 80 s for 30."""
    learn, sample = (Piece(sort=sort, work=Work(seconds=10.0)) for sort in ("learn", "sample"))
    planned(monkeypatch, {"a": [learn], "b": [rl(1, 20.0)], "c": [learn], "d": [rl(1, 10.0)], "e": [sample]})
    for folder, seconds in (("01_a", 20.0), ("02_b", 60.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "result.json").write_text(json.dumps({"seconds": seconds}))
    left = time_left(run_of(tmp_path, a=1, b=1, c=1, d=1, e=1), EPOCH).stages
    assert left == pytest.approx({"a": 0, "b": 0, "c": 20, "d": 30, "e": 10 * 80 / 30})


def test_what_nobody_planned_is_not_known_until_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, {})
    run = run_of(tmp_path, mine=10)
    assert time_left(run, EPOCH).run is None
    write(tmp_path / "01_mine", [2, 4, 6, 8])
    assert time_left(run, EPOCH).run == pytest.approx(12)


def test_a_recipe_that_cannot_be_planned_costs_nothing_but_the_plan(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[stages.r1_zero]\nno_such_key = 1\nsteps = 4\n")
    with pytest.raises(InputError):
        load_recipe(str(tmp_path / "recipe.toml"))
    assert time_left(RunFolder(tmp_path), EPOCH).stages == {"r1_zero": None}


def test_pieces_are_what_the_plan_says_cut_into_parts() -> None:
    recipe = load_recipe("nano")
    where = Plan(device=DEVICES["cpu"], devices=2, mfu=0.35, mbu=0.5, mean_share=0.5)
    works, pieces = (make(recipe, shape_of(recipe), where) for make in (plan_recipe, plan_pieces))
    for stage, work in works.items():
        of_stage = sum((piece.work for piece in pieces[stage] or []), start=NOTHING)
        assert of_stage.seconds == pytest.approx(work.seconds if work else 0, rel=1e-9)
        assert of_stage.flops == pytest.approx(work.flops if work else 0, rel=1e-9)
    assert [piece.name for piece in pieces["reward_models"] or []] == ["helpfulness", "safety"]


@pytest.mark.parametrize(("name", "most"), [("chain", 0.2), ("zero", 0.27)])
def test_against_a_recorded_run(name: str, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter, half and three quarters through, the error is a share of the run's own time."""
    recorded = Recorded(name)
    planned(monkeypatch, recorded.planned)
    for share in (0.25, 0.5, 0.75):
        second = share * recorded.seconds
        recorded.stand(tmp_path / str(share), second)
        left = time_left(RunFolder(tmp_path / str(share)), EPOCH + second).run
        assert left is not None
        error = (left - (recorded.seconds - second)) / recorded.seconds
        print(f"{name}, {share:.0%} through: {left:.0f} s said, {recorded.seconds - second:.0f} s true, {error:+.1%}")
        assert abs(error) < most
    recorded.stand(tmp_path / "end", recorded.seconds)
    assert time_left(RunFolder(tmp_path / "end"), EPOCH + recorded.seconds).run == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "under 5 s"), (42, "40 s"), (57, "55 s"), (58, "1 min"), (754, "13 min"), (3600, "1 h 00 min"),
     (11500, "3 h 10 min"), (400_000, "111 h")],
)  # fmt: skip
def test_what_is_reckoned_is_not_said_to_the_second(seconds: float, said: str) -> None:
    assert about(seconds) == said
    assert roughly(seconds) == (said if seconds == 3 else f"about {said}")
