"""What a tracker is sent: each step once, whatever breaks; and what a broken tracker costs the run: nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_run import SINK, MadeRun
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.depends import written_key
from r1kit.errors import InputError, MissingError
from r1kit.recipe import load_recipe
from r1kit.trackers import beside, check_trackers
from r1kit.trackers import feed as module
from r1kit.trackers.beside import tracked
from r1kit.trackers.feed import feed, left, place_of, unsent
from r1kit.trackers.sink import as_markdown, cells

ALL = [*range(1, 11)]


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    (tmp_path / "sink.py").write_text(SINK)
    return MadeRun(tmp_path / "run")


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"{tmp_path / 'sink.py'}:Kept"


def table(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    return {"file": str(tmp_path / "kept.jsonl"), **settings}


def json_table(settings: dict[str, Any]) -> str:
    return f"{{{', '.join(f'{key} = {json.dumps(value)}' for key, value in settings.items())}}}"


def kept(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "kept.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def steps(tmp_path: Path, series: str = "r1_zero") -> list[int]:
    return [row["step"] for row in kept(tmp_path) if row.get("series") == series]


def at_once(seconds: float) -> bool:
    return True


def test_steps_evaluations_samples_and_the_report(made: MadeRun, name: str, tmp_path: Path) -> None:
    made.steps(1, 10)
    made.end()
    assert feed(made.path, name, table(tmp_path), at_once, print) == 0
    assert steps(tmp_path) == ALL
    assert steps(tmp_path, "r1_zero/eval/sums/dev") == [5, 10]
    rows = kept(tmp_path)
    first = next(row for row in rows if row.get("series") == "r1_zero")
    assert first["values"] == {"seconds": 2.0, "accuracy": 0.05, "response_tokens": 30.0}
    assert {"table": "r1_zero", "step": 10, "rows": 1} in rows
    assert rows[-1] == {"artefact": "report.html"}


def test_what_was_sent_is_not_sent_again_after_a_resume(made: MadeRun, name: str, tmp_path: Path) -> None:
    made.steps(1, 7)
    feed(made.path, name, table(tmp_path), at_once, print)
    made.cut_back(4)
    feed(made.path, name, table(tmp_path), at_once, print)
    made.steps(5, 10)
    assert unsent(made.path, name) == 4  # steps 8 to 10, the evaluation at 10
    feed(made.path, name, table(tmp_path), at_once, print)
    assert steps(tmp_path) == ALL
    assert steps(tmp_path, "r1_zero/eval/sums/dev") == [5, 10]
    assert unsent(made.path, name) == 0
    (made.stage / "key.json").write_text('{"key": "other settings"}')
    assert unsent(made.path, name) == 12, "another result of the same stage"


def test_a_sink_that_raises_gets_the_rest_later(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    made.steps(1, 10)
    said: list[str] = []
    assert feed(made.path, name, table(tmp_path, fault="raise"), at_once, said.append) == 0
    assert steps(tmp_path) == ALL
    assert said == [f"tracker {name}: nobody answers; it is tried again, the run goes on"]


def test_a_sink_that_always_raises_is_left_with_a_count(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    made.steps(1, 4)
    assert feed(made.path, name, table(tmp_path, fault="always"), at_once, print) == 4
    assert unsent(made.path, name) == 4
    assert feed(made.path, name, table(tmp_path), at_once, print) == 0
    assert steps(tmp_path) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("fault", "knows", "arrived"),
    [
        ("lost", True, ALL),
        ("arrived", True, ALL),
        ("arrived", False, ALL),
        ("hole", True, [1, 2, *range(4, 11), 3]),
        ("lost", False, []),
    ],
)
def test_a_flush_that_raises_has_kept_what_the_sink_says_it_has(
    made: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, knows: bool, arrived: list[int]
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    late = f"{tmp_path / 'sink.py'}:Late"
    made.steps(1, 10)
    said: list[str] = []
    assert feed(made.path, late, table(tmp_path, fault=fault, knows=knows), at_once, said.append) == 0
    assert steps(tmp_path) == arrived
    assert steps(tmp_path, "r1_zero/eval/sums/dev") == ([5, 10] if arrived else [])
    assert said == [f"tracker {late}: nobody answers; it is tried again, the run goes on"]
    made.steps(11, 12)
    assert feed(made.path, late, table(tmp_path), at_once, print) == 0
    assert steps(tmp_path) == [*arrived, 11, 12]


def test_a_flush_that_always_raises_leaves_a_count_and_the_lines_for_later(
    made: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    late = f"{tmp_path / 'sink.py'}:Late"
    made.steps(1, 10)
    assert feed(made.path, late, table(tmp_path, fault="always lost"), at_once, print) == 12
    assert unsent(made.path, late) == 12
    assert feed(made.path, late, table(tmp_path), at_once, print) == 0
    assert steps(tmp_path) == ALL


@pytest.mark.parametrize(("fault", "knows"), [("raise late", True), ("raise", False)])
def test_a_line_that_was_refused_is_sent_again_unless_it_is_there(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, knows: bool
) -> None:
    """Even to a sink that cannot tell, which would lose one with every failure."""
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    made.steps(1, 10)
    assert feed(made.path, name, table(tmp_path, fault=fault, knows=knows), at_once, print) == 0
    assert steps(tmp_path) == ALL


def test_what_a_sink_holds_when_it_raises_is_flushed_before_the_next_is_asked(
    made: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    late = f"{tmp_path / 'sink.py'}:Late"
    made.steps(1, 10)
    assert feed(made.path, late, table(tmp_path, fault="raise"), at_once, print) == 0
    assert steps(tmp_path) == ALL


def test_a_report_whose_sending_failed_is_sent_again(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    made.steps(1, 2)
    made.end()
    said: list[str] = []
    assert feed(made.path, name, table(tmp_path, fault="artefact"), at_once, said.append) == 0
    assert [row for row in kept(tmp_path) if "artefact" in row] == [{"artefact": "report.html"}]
    assert said == [f"tracker {name}: nobody answers; it is tried again, the run goes on"]
    assert feed(made.path, name, table(tmp_path), at_once, print) == 0
    assert [row for row in kept(tmp_path) if "artefact" in row] == [{"artefact": "report.html"}]
    os.utime(made.path / "report.html", (1e9, 1e9))  # another one, written after the clock was set back
    assert feed(made.path, name, table(tmp_path), at_once, print) == 0
    assert [row for row in kept(tmp_path) if "artefact" in row] == [{"artefact": "report.html"}] * 2


@pytest.mark.parametrize(("knows", "arrived"), [(True, ALL), (False, [1, 2, 3])])
def test_killed_while_it_sends(made: MadeRun, name: str, tmp_path: Path, knows: bool, arrived: list[int]) -> None:
    """A sink that can tell is sent what it lacks; one that cannot gets nothing twice."""
    made.steps(1, 10)
    command = [sys.executable, "-m", "r1kit", "track", str(made.path), "--to", name]
    command += [
        "--set",
        f"file={tmp_path / 'kept.jsonl'}",
        "--set",
        "fault=kill",
        "--set",
        f"knows={str(knows).lower()}",
    ]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert steps(tmp_path) == [1, 2, 3]
    again = subprocess.run(command, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "")
    assert steps(tmp_path) == arrived
    made.steps(11, 12)
    assert feed(made.path, name, table(tmp_path), at_once, print) == 0
    assert steps(tmp_path) == [*arrived, 11, 12]


@pytest.mark.parametrize("knows", [True, False])
def test_a_full_disk_costs_no_step(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    """Where it cannot be written down what is about to be sent, nothing is sent."""
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    real, calls = module.write_atomic, []

    def full(path: Path, text: str) -> None:
        calls.append(path)
        if len(calls) <= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, text)

    monkeypatch.setattr(module, "write_atomic", full)
    made.steps(1, 10)
    said: list[str] = []
    assert feed(made.path, name, table(tmp_path, knows=knows), at_once, said.append) == 0
    assert steps(tmp_path) == ALL
    assert "No space left" in said[0]


def test_a_state_that_is_damaged_sends_what_the_tracker_lacks(made: MadeRun, name: str, tmp_path: Path) -> None:
    made.steps(1, 2)
    feed(made.path, name, table(tmp_path), at_once, print)
    made.steps(3, 4)
    place_of(made.path, name).write_text('{"marks": [')
    assert unsent(made.path, name) == 4
    said: list[str] = []
    assert feed(made.path, name, table(tmp_path), at_once, said.append) == 0
    assert steps(tmp_path) == [1, 2, 3, 4]
    assert "is damaged; the tracker is asked what it has" in said[0]


def test_a_report_that_did_not_arrive_is_said_and_a_sink_that_raises_as_it_is_closed_has_all(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0,))
    made.steps(1, 2)
    made.end()
    command = ["track", str(made.path), "--to", name, "--set", f"file={tmp_path / 'kept.jsonl'}", "--set"]
    failed = CliRunner().invoke(app, [*command, "fault=no artefact"])
    assert str(failed.exception) == f"not all was sent ({name}: the report); run the same command to send the rest"
    said: list[str] = []
    assert feed(made.path, name, table(tmp_path, fault="close"), at_once, said.append) == 0
    assert said == [f"tracker {name}: nobody answers, as it was closed; all had been sent"]
    assert [steps(tmp_path), kept(tmp_path)[-1]] == [[1, 2], {"artefact": "report.html"}]
    assert left(made.path, name) == ""
    made.steps(3, 4)
    assert left(made.path, name) == "2 lines"


def test_what_a_tracker_has_already_is_said(made: MadeRun, name: str, tmp_path: Path) -> None:
    made.steps(1, 2)
    command = ["track", str(made.path), "--to", f"{name},{name}", "--set", f"file={tmp_path / 'kept.jsonl'}"]
    first, second = (CliRunner().invoke(app, command, catch_exceptions=False).output for _ in range(2))
    assert first == f"sent to {name}\n"
    assert second == f"{name} was sent every line before; without {place_of(made.path, name)} they are sent again\n"
    nobody = CliRunner().invoke(app, ["track", str(made.path), "--to", " , "])
    assert "--to names no tracker" in str(nobody.exception)


def test_a_run_that_was_moved_is_the_same_run(made: MadeRun, name: str, tmp_path: Path) -> None:
    made.steps(1, 2)
    feed(made.path, name, table(tmp_path), at_once, print)
    known = json.loads(place_of(made.path, name).read_text())["id"]
    assert len(known) == 12
    made.path.rename(tmp_path / "moved")
    moved = MadeRun.__new__(MadeRun)
    moved.path, moved.stage = tmp_path / "moved", tmp_path / "moved" / "01_r1_zero"
    moved.steps(3, 4)
    feed(moved.path, name, table(tmp_path), at_once, print)
    assert json.loads(place_of(moved.path, name).read_text())["id"] == known
    assert steps(tmp_path) == [1, 2, 3, 4]


def test_a_project_that_was_moved_has_the_same_tracker(made: MadeRun, name: str, tmp_path: Path) -> None:
    """One of the user's own is known by its class and its file's name; also to ``r1 track`` beside it."""
    made.steps(1, 2)
    feed(made.path, name, table(tmp_path), at_once, print)
    (tmp_path / "moved").mkdir()
    (tmp_path / "sink.py").rename(tmp_path / "moved" / "sink.py")
    moved = f"{tmp_path / 'moved' / 'sink.py'}:Kept"
    assert unsent(made.path, moved) == 0
    recipe = made.path / "recipe.toml"
    recipe.write_text(f"{recipe.read_text()}[trackers]\n{json.dumps(name)} = {json_table(table(tmp_path))}\n")
    made.steps(3, 4)
    assert CliRunner().invoke(app, ["track", str(made.path), "--to", moved], catch_exceptions=False).exit_code == 0
    assert steps(tmp_path) == [1, 2, 3, 4], "by the recipe's settings"


def test_what_the_version_before_sent_is_not_sent_again(made: MadeRun, name: str, tmp_path: Path) -> None:
    """It named the file by the whole path: here ``own-`` and the first digits of its SHA-256."""
    made.steps(1, 2)
    feed(made.path, name, table(tmp_path), at_once, print)
    before = f"own-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"
    place_of(made.path, name).rename(made.path / "trackers" / before)
    assert unsent(made.path, name) == 0


def test_two_that_would_be_known_by_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sink.py").write_text(SINK)
    with pytest.raises(InputError, match=r"are both known as sink.py:Kept; rename one's class or file"):
        check_trackers({f"{tmp_path / folder / 'sink.py'}:Kept": {} for folder in ("a", "b")})


# ---- beside a run ---------------------------------------------------------------------------------------------------


def test_a_tracker_follows_the_run_and_one_that_hangs_is_left_behind(
    made: MadeRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of one file: one works, the other hangs. The block takes what it takes; the end is bounded."""
    other = f"{tmp_path / 'other.py'}:Kept"
    (tmp_path / "other.py").write_text(SINK)
    settings = {name: table(tmp_path), other: {"file": str(tmp_path / "other.jsonl"), "fault": "hang"}}
    lines = "".join(f"{json.dumps(key)} = {json_table(rest)}\n" for key, rest in settings.items())
    recipe = made.path / "recipe.toml"
    recipe.write_text(recipe.read_text() + "[trackers]\n" + lines)
    monkeypatch.setattr(beside, "FINISH_SECONDS", 20.0 if os.environ.get("CI") else 6.0)
    said: list[str] = []
    with tracked(settings, made.path, None, said.append):
        made.steps(1, 5)
        until = time.monotonic() + 60
        while len(steps(tmp_path)) < 5 and time.monotonic() < until:
            time.sleep(0.05)
        assert steps(tmp_path) == [1, 2, 3, 4, 5], "while the run goes on"
        made.steps(6, 10)
        made.end()
    assert steps(tmp_path) == ALL
    assert kept(tmp_path)[-1] == {"artefact": "report.html"}
    assert len(said) == 1
    lines = r"1[02] lines and the report"
    told = rf"warning: tracker {re.escape(other)} was not sent {lines}; r1 track \S+ --to {re.escape(other)} does so"
    assert re.fullmatch(told, said[0])
    assert [json.loads(line)["step"] for line in (tmp_path / "other.jsonl").read_text().splitlines()] == [1, 2]


def test_a_tracker_that_hangs_does_not_outlive_a_run_that_was_killed(made: MadeRun, name: str, tmp_path: Path) -> None:
    made.steps(1, 10)
    command = ["track", str(made.path), "--to", name, "--set", f"file={tmp_path / 'kept.jsonl'}", "--set", "fault=hang"]
    tracker = (
        "import importlib; importlib.import_module('r1kit.commands.track').ORPHAN_SECONDS = 0.1;"
        f"from r1kit.cli import app; app({[*command, '--follow']!r})"
    )
    run = (
        "import subprocess, sys, time;"
        f"beside = subprocess.Popen([sys.executable, '-c', {tracker!r}], stdin=subprocess.PIPE);"
        "print(beside.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        number = int(parent.stdout.readline())
        try:
            assert waited(lambda: steps(tmp_path) == [1, 2])
        finally:
            parent.kill()
    try:
        assert waited(lambda: not alive(number))
    finally:
        if alive(number):
            os.kill(number, signal.SIGKILL)


def waited(true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 60
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)
    return true()


def alive(process: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_without_trackers_nothing_is_started(made: MadeRun) -> None:
    with tracked({}, made.path, None, print):
        pass
    assert not (made.path / "trackers").exists()


# ---- what is checked before anything starts -----------------------------------------------------------------------


def test_names_and_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tracker 'wandbb' is unknown; known are tensorboard.*Did you mean 'wandb'"):
        check_trackers({"wandbb": {}})
    with pytest.raises(InputError, match=r"trackers.wandb: unknown key 'proj'.*Did you mean 'project'"):
        check_trackers({"wandb": {"proj": "x"}})
    with pytest.raises(InputError, match="expected a table"):
        check_trackers({"wandb": True})


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"tracker 'mlflow' needs the package mlflow: pip install 'r1kit\[mlflow\]'"):
        check_trackers({"mlflow": {}})


def test_a_light_mlflow_is_enough_for_a_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """``mlflow-skinny`` is the same module without what a database needs."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sqlalchemy" else object())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check_trackers({"mlflow": {"uri": "http://localhost:5000"}})
    for table in ({}, {"uri": "sqlite:///runs.db"}):
        with pytest.raises(MissingError, match=r"needs the package sqlalchemy: pip install 'r1kit\[mlflow\]'"):
            check_trackers({"mlflow": table})


def test_trackers_are_no_part_of_a_stage_s_key() -> None:
    plain, with_them = (
        load_recipe("nano-zero", changes)
        for changes in ([], ["trackers.wandb.mode=offline", "trackers.tensorboard={}"])
    )
    assert dict(with_them.trackers) == {"wandb": {"mode": "offline"}, "tensorboard": {}}
    keys = [written_key(recipe, "pretrain", {}, {})["key"] for recipe in (plain, with_them)]
    assert keys[0] == keys[1]


def test_samples_cannot_break_the_table() -> None:
    row = {"step": 3, "prompt": "a | b", "completion": "<script>\nx", "reward": 0.5, "parts": {"accuracy": 1.0}}
    assert cells(row) == [3, "a | b", "<script>\nx", 0.5, "accuracy 1.0", None]
    assert as_markdown([row]).splitlines()[2] == ("| 3 | a &#124; b | &lt;script><br>x | 0.5 | accuracy 1.0 |  |")
    assert len(cells({"prompt": "x" * 10_000})[1]) == 2002
