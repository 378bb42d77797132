"""A run with engines and verifiers beside its ranks is the run without, also when they are killed or hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kill_resume import SETTINGS

from r1kit.files import forgiving_lines

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

OF_ITS_OWN = ("seconds", "hand_over_bytes", "tokens_per_second")
"""Endings of what may differ."""


def started(out: Path, more: Sequence[str]) -> subprocess.Popen[str]:
    sets = [part for each in (*SETTINGS, "ranks=1", *more) for part in ("--set", each)]
    return subprocess.Popen(
        [sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(out), *sets],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def helpers(run: subprocess.Popen[str]) -> list[int]:
    """Process ids of its engines and verifiers."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                mine = os.getpgid(int(folder.name)) == run.pid
            except OSError:
                continue
            if mine and b"r1kit.backends.serve" in command:
                found.append(int(folder.name))
    return found


def finished(run: subprocess.Popen[str]) -> str:
    try:
        said, _ = run.communicate(timeout=600)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 0, said
    assert helpers(run) == []
    return said


def results(out: Path) -> dict[str, Any]:
    """What a run logged, sampled and learnt, without times."""
    found: dict[str, Any] = {}
    for name in ("01_pretrain/eval", "02_r1_zero/metrics", "02_r1_zero/eval", "02_r1_zero/rollouts"):
        lines, _ = forgiving_lines(out / f"{name}.jsonl")
        found[name] = [{key: each for key, each in line.items() if not key.endswith(OF_ITS_OWN)} for line in lines]
    found["weights"] = (out / "02_r1_zero/checkpoint/model.safetensors").read_bytes()
    return found


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("untouched") / "run"
    finished(started(out, ()))
    return results(out)


@pytest.mark.parametrize("fault", ["none", "SIGKILL", "SIGSTOP"])
def test_the_same_bits(tmp_path: Path, untouched: dict[str, Any], fault: str) -> None:
    out = tmp_path / "run"
    settings = ("cluster.engines=1", "cluster.verifiers=1", "cluster.heartbeat=0.5")
    run = started(out, settings)
    metrics = out / "02_r1_zero/metrics.jsonl"
    deadline = time.monotonic() + 500
    if fault != "none":
        while not metrics.is_file() and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        struck = helpers(run)
        for process in struck:
            os.kill(process, getattr(signal, fault))
        assert len(struck) == 2
    said = finished(run)
    assert results(out) == untouched
    assert ("it is started again" in said) == (fault != "none")
    words = {"SIGKILL": "was ended by SIGKILL", "SIGSTOP": "gave no sign of life for 30 s, so it was ended", "none": ""}
    assert words[fault] in said
    assert json.loads((out / "02_r1_zero/result.json").read_text())["stage"] == "r1_zero"
