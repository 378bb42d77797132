"""What ``r1 run`` shows while it works: the picture, the pipes behind it, JSON lines, next to nothing."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text
from screen import Screen

from r1kit.report.draw.progress import draw_progress
from r1kit.report.read.follow import Follower
from r1kit.report.read.progress import progress_of
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.shown import SHOWS, chosen
from r1kit.report.watch import Area, Picture, Watch

WriteRun = Callable[..., Path]
MINE = """
import time
from dataclasses import dataclass
from r1kit.contracts import StageConfig
from r1kit.records import StageResult
from r1kit.resume import Stateless

@dataclass(frozen=True, slots=True, kw_only=True)
class Mine(StageConfig):
    steps: int = 4
    pause: float = 0.01
    fail_at: int = -1

    def run(self, workspace):
        workspace.say("warning: mine: a thing to know")
        for step in workspace.steps(self.steps, Stateless()):
            time.sleep(self.pause)
            if step == self.fail_at:
                raise ValueError("it broke")
            workspace.log(step + 1, {"accuracy": step / self.steps, "response_tokens": 7.0})
        return StageResult(metrics={}, inputs=())
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A recipe of one stage that needs no model."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "mine.toml").write_text('ranks = 1\n[stages.mine]\nkind = "{recipe}/mine.py:Mine"\n')
    return tmp_path


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "r1kit", "run", str(folder / "mine.toml"), "--out", str(folder / "run"), *options]


def drawn(progress: Any, width: int, height: int, **options: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as capture:
        console.print(draw_progress(progress, width, height, **options), no_wrap=True, overflow="ellipsis", crop=True)
    return capture.get().splitlines()


# ---- the picture ---------------------------------------------------------------------------------------------------


def test_the_area_is_drawn_anew_below_what_is_said() -> None:
    stream = io.StringIO()
    area = Area(stream)
    area.draw(Text("one\ntwo"))
    area.above("a line")
    area.draw(Text("three"))
    assert Screen(stream.getvalue()).text == "a line\nthree"
    before = stream.getvalue()
    area.draw(Text("three"))
    assert stream.getvalue() == before, "nothing new is written"
    area.erase()
    screen = Screen(stream.getvalue())
    assert (screen.text, screen.column) == ("a line", 0)
    assert "\x1b[?25" not in stream.getvalue(), "a killed process cannot show the cursor again"


def test_a_picture_of_a_run_in_a_wide_window(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", steps=40, done=False)
    run = RunFolder(path)
    lines = drawn(progress_of(run, time.time()), 100, 30)
    assert lines[0].startswith("nano-zero  1 of 2 stages")
    assert lines[0].rstrip().endswith("left")
    assert "✓ pretrain" in lines[1]
    assert "▸ r1_zero" in lines[2]
    assert "r1_zero: step 40 of 110 ━" in lines[3]
    assert "accuracy" in lines[4]
    assert "tokens" in lines[4]
    assert any(line.startswith("sample use") for line in lines)


def test_the_time_left_stays_whole_in_a_narrow_window(write_run: WriteRun, tmp_path: Path) -> None:
    progress = progress_of(RunFolder(write_run(tmp_path / "run", steps=40, done=False)), time.time())
    for left, said in ((41.0, "about 40 s left"), (2.0, "under 5 s left"), (11_500.0, "about 3 h 10 min left")):
        assert drawn(dataclasses.replace(progress, left=left), 40, 24)[0].rstrip().endswith(said)


@pytest.mark.parametrize(("width", "height", "rows"), [(44, 9, 5), (24, 5, 3), (9, 3, 1)])
def test_a_picture_fits_into_any_window(
    width: int, height: int, rows: int, write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(tmp_path / "run", steps=40, done=False)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", str(height))
    stream = io.StringIO()
    Area(stream).draw(draw_progress(progress_of(RunFolder(path), time.time()), width, height))
    lines = Screen(stream.getvalue()).text.splitlines()
    assert all(len(line) < width for line in lines)
    assert len(lines) == rows
    assert lines[0].startswith("nano-ze")


def test_a_sample_cannot_steer_the_terminal(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", steps=40, done=False)
    log = path / "02_r1_zero" / "rollouts.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    hostile = "\x1b[2J[bold]\r\x07\u202e" + "x" * 1_000_000
    log.write_text("".join(json.dumps({**row, "completion": hostile, "prompt": hostile}) + "\n" for row in rows))
    text = "\n".join(drawn(progress_of(RunFolder(path), time.time()), 80, 30))
    assert not set(text) & {"\x1b", "\r", "\x07", "\u202e"}
    assert "[bold]xxx" in text
    assert len(text) < 5000


# ---- the pipes behind it -------------------------------------------------------------------------------------------


class Kept:
    """A face that breaks at every look."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def said(self, line: str, stream: str) -> None:
        self.lines.append((stream, line))

    def look(self) -> None:
        raise ValueError("the folder is being written")

    def close(self) -> None:
        self.lines.append(("", "closed"))


def test_every_line_is_read_whatever_becomes_of_the_picture() -> None:
    face = Kept()
    watch = Watch(face)  # type: ignore[arg-type]
    script = (
        "import sys; [print('line', n) for n in range(20_000)]; sys.stderr.write('50%\\r100%\\n'); print('end', end='')"
    )
    subprocess.run([sys.executable, "-c", script], stdout=watch.out, stderr=watch.err, check=True, timeout=60)
    watch.close()
    watch.close()
    out = [line for stream, line in face.lines if stream == "out"]
    assert out == [*(f"line {n}" for n in range(20_000)), "end"], "more than a pipe holds"
    assert ("err", "100%") in face.lines
    assert face.lines[-1] == ("", "closed")


def test_errors_that_lead_elsewhere_stay_there(tmp_path: Path) -> None:
    stream, errors = io.StringIO(), io.StringIO()
    picture = Picture(tmp_path, stream, errors)
    picture.said("said", "out")
    picture.said("wrong", "err")
    assert (stream.getvalue(), errors.getvalue()) == ("said\n", "wrong\n")


# ---- what is new ---------------------------------------------------------------------------------------------------


def write_steps(folder: Path, count: int, key: str = "k", since: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(json.dumps({"key": key}))
    mode = "w" if since == 1 else "a"
    with (folder / "metrics.jsonl").open(mode) as stream:
        stream.writelines(json.dumps({"step": n, "seconds": 1.0 * n}) + "\n" for n in range(since, count + 1))


def told(follower: Follower) -> list[tuple[str, str, int]]:
    return [(event.kind, event.part, event.step) for event in follower.new()]


def test_a_step_is_told_once_however_often_it_is_done(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[stages.a]\nsteps = 9\n")
    write_steps(tmp_path / "01_a", 3)
    follower = Follower(RunFolder(tmp_path))
    assert told(follower) == [("begun", "", 0), ("step", "", 1), ("step", "", 2), ("step", "", 3)]
    assert told(follower) == []
    write_steps(tmp_path / "01_a", 2)  # cut back to a resume point
    assert told(follower) == []
    write_steps(tmp_path / "01_a", 4, since=3)
    assert told(follower) == [("step", "", 4)]
    later = Follower(RunFolder(tmp_path), follower.marks)
    assert [event for event in told(later) if event[0] == "step"] == []
    write_steps(tmp_path / "01_a", 1, key="other settings")
    assert [event for event in told(later) if event[0] == "step"] == [("step", "", 1)]


def test_parts_and_evaluations_are_told_too(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[stages.a]\n")
    write_steps(tmp_path / "01_a" / "small" / "base", 1)
    looks = [{"step": 0, "task": task, "split": "dev", "k": 4} for task in ("x", "y", "x")]
    (tmp_path / "01_a" / "small" / "base" / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in looks))
    found = told(Follower(RunFolder(tmp_path)))
    assert found[0] == ("begun", "", 0)
    assert sorted(found[1:]) == [
        ("evaluation", "small/base", 0), ("evaluation", "small/base", 0), ("step", "small/base", 1)
    ]  # fmt: skip


def test_a_part_that_is_done_does_not_run_though_the_clock_was_set_back(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[stages.a]\n")
    base, distilled = (tmp_path / "01_a" / "small" / part for part in ("base", "distilled"))
    for part in (base, distilled):
        write_steps(part, 1)
    (base / "result.json").write_text("{}")
    os.utime(base / "metrics.jsonl", (time.time() + 86400,) * 2)
    now = progress_of(RunFolder(tmp_path), time.time()).now
    assert now is not None
    assert now.part == "small/distilled"


# ---- the command ---------------------------------------------------------------------------------------------------


def in_terminal(words: list[str], until: str, sent: signal.Signals | None, **environment: str) -> tuple[str, int]:
    """(what it wrote, its exit code) in a terminal of 80 columns; the signal comes once a text was seen."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={**known, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(slave)
    text = b""
    try:
        while True:
            if not select.select([master], [], [], 60)[0]:
                raise AssertionError(f"nothing more came after {text.decode()}")
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # the other end is closed
                break
            text += piece
            if sent and until in text.decode(errors="replace"):
                process.send_signal(sent)
                sent = None
            if not piece:
                break
        return text.decode(), process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_an_interrupted_run_leaves_the_terminal_as_it_was(mine: Path) -> None:
    text, code = in_terminal(
        command(mine, "--set", "mine.steps=2000", "--set", "mine.pause=0.05"), "mine: step 1", signal.SIGINT
    )
    screen = Screen(text)
    assert code == 130
    assert "━" in text
    assert "\x1b[?25" not in text
    assert screen.text.splitlines()[1] == "warning: mine: a thing to know"
    assert screen.text.splitlines()[-1].startswith("r1: interrupted by SIGINT: mine stands at step")
    assert "━" not in screen.text, "the picture is gone"
    assert screen.column == 0


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({"TERM": "xterm"}, "picture"),
        ({"TERM": "dumb"}, "lines"),
        ({}, "lines"),
        ({"TERM": "xterm", "CI": "1"}, "lines"),
    ],
)
def test_where_no_picture_can_be_drawn_there_are_lines(
    environment: dict[str, str], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(SHOWS, "")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert chosen() == way
    assert chosen(parent=False) == "lines"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert chosen() == "lines"


def test_json_lines_and_nothing_else(mine: Path) -> None:
    """A run that fails, then goes on with another setting; what a user's file prints is no line of ours."""
    (mine / "mine.py").write_text(f"{MINE}\nimport os\nprint('mine')\nos.write(1, b'and raw')\n")
    failed = subprocess.run(command(mine, "--json", "--set", "mine.fail_at=2"), capture_output=True, text=True)
    rows = [json.loads(line) for line in failed.stdout.splitlines()]
    assert (failed.returncode, rows[-1]["event"], rows[-1]["state"]) == (1, "run", "failed")
    assert "ValueError: it broke" in rows[-1]["error"]
    assert failed.stderr.splitlines()[-1].startswith("r1: mine: mine.py:")
    assert [row["step"] for row in rows if row["event"] == "step"] == [1, 2]
    assert {"event": "note", "text": "warning: mine: a thing to know"} in rows
    done = subprocess.run(command(mine, "--json"), capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [row for row in rows if row["event"] == "step"]
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    assert (steps[-1]["of"], steps[-1]["metrics"]["accuracy"], steps[-1]["left"]) == (4, 0.75, 0.0)
    assert [row["state"] for row in rows if row["event"] == "stage"] == ["started", "done"]
    assert rows[-1] == {"event": "run", "state": "done", "folder": str(mine / "run"),
                        "report": str(mine / "run" / "report.html")}  # fmt: skip


def test_quiet_says_warnings_and_one_line(mine: Path) -> None:
    found = subprocess.run(command(mine, "--quiet"), capture_output=True, text=True, check=True)
    assert found.stderr == "warning: mine: a thing to know\n"
    assert len(found.stdout.splitlines()) == 1
    assert found.stdout.endswith(f"The whole report: {mine / 'run' / 'report.html'}\n")


def test_quiet_and_json_exclude_each_other(mine: Path) -> None:
    found = subprocess.run(command(mine, "--quiet", "--json"), capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (
        2, "r1: --quiet and --json exclude each other; --json prints nothing but JSON lines\n",
    )  # fmt: skip
