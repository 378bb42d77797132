"""A project of a user's own: his reward, his task, two RL stages under his names; killed, resumed, moved, changed.

The files lie in ``tests/own``: a reward file of 12 lines, a task of 29, a recipe. Everything goes through the command.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kill_resume import contents, differences

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def r1(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r1kit", *words], cwd=folder, env=environment(), capture_output=True, text=True
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def project(at: Path) -> Path:
    shutil.copytree(ROOT / "tests" / "own", at, ignore=shutil.ignore_patterns("__pycache__"))
    return at


def done(run: Path, stage: str) -> dict[str, Any]:
    return json.loads((run / stage / "result.json").read_text())


@pytest.mark.slow
def test_it_runs_is_killed_goes_on_and_is_redone_when_its_files_change(tmp_path: Path) -> None:
    mine = project(tmp_path / "mine")
    assert r1(mine, "check", "mine.toml").returncode == 0
    straight = r1(mine, "run", "mine.toml", "--out", "straight", "--ranks", "1")
    assert straight.returncode == 0, straight.stderr
    lines = [json.loads(line) for line in (mine / "straight/02_rl_short/metrics.jsonl").read_text().splitlines()]
    assert all(0 < line["my_rewards.py:brevity"] < 1 for line in lines)
    assert "my_rewards.py:variety" in (mine / "straight/03_rl_varied/metrics.jsonl").read_text()
    assert "rl_varied" in (mine / "straight/report.html").read_text()
    for name in ("words", "rl_short", "rl_varied"):
        assert name in r1(mine, "status", "straight").stdout

    log = mine / "killed/02_rl_short/metrics.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "r1kit", "run", "mine.toml", "--out", "killed", "--ranks", "1"],
        cwd=mine, env=environment(), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not (log.is_file() and log.read_bytes().count(b"\n") >= 3):
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (mine / "killed/02_rl_short/result.json").exists()
    again = r1(mine, "run", "mine.toml", "--out", "killed", "--ranks", "1")
    assert "words: done before" in again.stdout
    assert differences(contents(mine / "straight"), contents(mine / "killed")) == []

    mine = mine.rename(tmp_path / "moved")
    moved = r1(mine, "run", "mine.toml", "--out", "straight", "--ranks", "1")
    assert [line for line in moved.stdout.splitlines() if "done" in line] == [
        "words: done before", "rl_short: done before", "rl_varied: done before",
    ]  # fmt: skip

    rewards = mine / "my_rewards.py"
    rewards.write_text(rewards.read_text().replace("/ 40", "/ 20"))
    changed = r1(mine, "run", "mine.toml", "--out", "straight", "--ranks", "1").stdout
    assert "words: done before" in changed
    assert "rl_short: done again: my_rewards.py was edited" in changed
    assert done(mine / "straight", "02_rl_short")["key"] != done(mine / "straight", "02_rl_short.before-1")["key"]


MISTAKES = {
    "a syntax error": ("my_rewards.py", "max(0.0,", "max(0.0,,", "my_rewards.py:6: SyntaxError"),
    "an exception": ("my_rewards.py", "1 - len", "1 / 0 - len", "my_rewards.py:6: ZeroDivisionError"),
    "an endless loop": ("my_rewards.py", "return max", "while True: pass\n    return max", "my_rewards.py:brevity"),
    "not a number": ("my_rewards.py", "max(0.0, 1 - len(completion.split()) / 40)", "float('nan')", "nan"),
    "a wrong length": ("my_rewards.py", "for text in completions]", "for text in completions][:-1]", "variety"),
    "a wrong signature": ("my_rewards.py", "brevity(prompt, completion)", "brevity(a, b)", "my_rewards.py:brevity"),
    "a missing name": ("my_rewards.py", "def brevity", "def brevty", "Did you mean 'brevty'?"),
    "a print at import": ("my_rewards.py", '"""Two', 'print("hello")\n"""Two', ""),
    "a task's missing name": ("my_task.py", "class Sums", "class Sumz", "Did you mean 'Sumz'?"),
    "a task's exception": ("my_task.py", "return self._prompt(*random", "return self._prom(*random", "my_task.py:16"),
    "a task whose held-out prompts never end": (
        "my_task.py",
        'return [self._prompt(*pair) for pair in self._pairs()[split == "test" : 20 : 2]][:limit]',
        "while True: pass",
        "my_task.py:Sums.held_out('dev') took more than 20 s",
    ),
    "a task that holds nothing out": ("my_task.py", "[:limit]", "[:0]", "my_task.py:Sums.held_out"),
    "a task's endless loop": ("my_task.py", "import random", "while True: pass\nimport random", "my_task.py"),
    "a task's wrong grade": ("my_task.py", "return Grade(", "return 'yes' or Grade(", "grade"),
    "a reward of nothing": (
        "mine.toml",
        "parts = {accuracy = 1.0, f",
        "parts = {}\nschedule = {warmup = 1} # {f",
        "pays nothing",
    ),
    "an unknown setting": ("mine.toml", "highest = 8", "highst = 8", "Did you mean 'highest'?"),
    "a missing file": ("mine.toml", "my_rewards.py:brevity", "my_reward.py:brevity", "my_reward.py"),
}


WAITED_FOR = ("a task whose held-out prompts never end", "a task's endless loop")
"""Mistakes that take 20 to 30 s to be told: a task has its seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in WAITED_FOR else name for name in MISTAKES]
)
def test_a_mistake_in_it_is_one_line(name: str, tmp_path: Path) -> None:
    mine = project(tmp_path / "mine")
    file, before, after, told = MISTAKES[name]
    text = (mine / file).read_text()
    assert before in text
    (mine / file).write_text(text.replace(before, after, 1))
    found = r1(mine, "check", "mine.toml")
    assert "Traceback" not in found.stderr
    if not told:
        assert found.returncode == 0
        return
    assert found.returncode == 2, found.stdout + found.stderr
    assert len(found.stderr.splitlines()) == 1, found.stderr
    assert told in found.stderr
