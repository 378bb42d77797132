"""Signals: a step is done to its end and kept, a second signal ends it at once, what was ignored stays so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r1kit import interrupts
from r1kit.errors import Interrupted

LOOP = """
import sys, time
from pathlib import Path
from test_workspace import Counter
from r1kit import interrupts
from r1kit.errors import Interrupted
from r1kit.recipe import load_recipe
from r1kit.workspace import Workspace

run, seconds = Path(sys.argv[1]), float(sys.argv[2])
(run / "01_pretrain").mkdir(exist_ok=True)
workspace = Workspace(run=run, stage="pretrain", index=1, recipe=load_recipe("nano-zero"), key="k")
workspace._save_cost = 1e9  # no point is due by the clock
state = Counter()
try:
    with interrupts.heeded():
        for step in workspace.steps(6, state):
            print("begun", step, flush=True)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(0.01)
            workspace.append("metrics", [{"step": step, "value": state.advance(step) % 1000}])
        print("value", state.value, flush=True)
        time.sleep(seconds)
except Interrupted as error:
    sys.exit(f"told: {error}")
except KeyboardInterrupt as stopped:
    sys.exit(f"at once: {stopped}")
"""


class Loop:
    """A process in a loop of six steps, whose stdout says where it is."""

    def __init__(self, run: Path, seconds: float = 0.0, before: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + LOOP, str(run), str(seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.lines = self.process.stdout

    def until(self, line: str) -> None:
        while self.lines.readline() != f"{line}\n":
            assert self.process.poll() is None

    def end(self) -> tuple[str, str]:
        """What it said on stdout since, and on stderr."""
        out, errors = self.process.communicate(timeout=30)
        return out, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_step_in_flight_is_done_and_kept_and_the_rest_goes_on_from_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    loop = Loop(tmp_path, 0.3)
    loop.until("begun 2")
    loop.process.send_signal(number)
    out, errors = loop.end()
    assert (out, errors) == (
        "", f"told: interrupted by {number.name}: pretrain stands at step 3 of 6; run the same command to go on\n"
    )  # fmt: skip
    again = Loop(tmp_path)
    out, errors = again.end()
    assert (out.splitlines()[:2], errors) == (["begun 3", "begun 4"], "")
    value = 1
    for step in range(6):
        value = value * 31 + step
    assert out.splitlines()[-1] == f"value {value}"
    steps = [json.loads(line)["step"] for line in (tmp_path / "01_pretrain/metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1, 2, 3, 4, 5]


def test_a_second_one_ends_it_at_once_and_a_hangup_never_counts_as_second(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 60.0)
    loop.until("begun 0")
    began = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
        loop.process.send_signal(number)
        time.sleep(0.1)
        assert loop.process.poll() is None
    loop.process.send_signal(signal.SIGTERM)
    assert loop.end()[1] == (
        "at once: interrupted by SIGTERM: pretrain is at its beginning; run the same command to go on\n"
    )
    assert time.monotonic() - began < 30


def test_between_loops_nothing_is_waited_for(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 0.2)
    value = 1
    for step in range(6):
        value = value * 31 + step
    loop.until(f"value {value}")
    loop.process.send_signal(signal.SIGTERM)
    assert loop.end()[1].startswith("at once: interrupted by SIGTERM: pretrain stands at step 6 of 6;")


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 0.1, before="import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    loop.until("begun 0")
    loop.process.send_signal(signal.SIGHUP)
    out, errors = loop.end()
    assert (loop.process.returncode, errors) == (0, "")
    assert out.splitlines()[-1].startswith("value ")


def test_handlers_are_put_back_and_another_thread_is_left_alone() -> None:
    from threading import Thread

    before = [signal.getsignal(number) for number in interrupts.HEEDED]
    with interrupts.heeded():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in interrupts.HEEDED] == before
    seen: list[object] = []

    def elsewhere() -> None:
        with interrupts.heeded():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before[1]]


def test_one_that_comes_behind_the_last_step_is_told_at_the_loop_s_end() -> None:
    with pytest.raises(Interrupted, match="interrupted by SIGINT"), interrupts.heeded(), interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)


ENDS = """
import ctypes, os, signal
from dataclasses import dataclass
import r1kit


@dataclass(frozen=True)
class Ends:
    by: str = ""
    leaves = "nothing"

    def run(self, workspace):
        if self.by == "exit":
            os._exit(0)
        if self.by == "crash":
            ctypes.string_at(0)
        if self.by == "raise":
            raise KeyboardInterrupt
        if self.by == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        return r1kit.StageResult(metrics={})
"""
RECIPE = """
ranks = 1
[model]
hidden_size = 32
intermediate_size = 64
num_layers = 1
num_heads = 2
num_kv_heads = 2
[stages.first]
kind = "{recipe}/ends.py:Ends"
[stages.mine]
kind = "{recipe}/ends.py:Ends"
by = "%s"
"""


@pytest.mark.parametrize(
    ("by", "code", "line"),
    [
        ("exit", 1, "mine: rank 0 ended with exit code 0 before its work was done at ends.py:14: os._exit(0); run the"),
        ("crash", 1, "mine: rank 0 was ended by SIGSEGV at ends.py:16; run the same command to go on"),
        ("raise", 1, "mine: ends.py:18: KeyboardInterrupt"),
        ("signal", 130, "interrupted by SIGTERM: mine was about to begin; run the same command to go on"),
    ],
)
def test_however_a_users_stage_ends_the_run_one_line_says_what_it_was(
    by: str, code: int, line: str, tmp_path: Path
) -> None:
    """One rank, which without code of a user's would be the command's own process."""
    (tmp_path / "ends.py").write_text(ENDS)
    (tmp_path / "ends.toml").write_text(RECIPE.replace("%s", by))
    command = [sys.executable, "-m", "r1kit", "run", "ends.toml", "--out", "run"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.splitlines()[-1][4 : 4 + len(line)]) == (code, line)
