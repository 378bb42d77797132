"""A run that is killed again and again, and goes on, ends with the same bits as one that never was."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from kill_resume import (
    EXPERTS,
    FSDP,
    MOMENTS,
    Moment,
    chain_repetition,
    children,
    contents,
    differences,
    finish,
    kill_at,
    lines,
    repetition,
    start,
    wait_gone,
)

from r1kit.recipe import load_recipe
from r1kit.report.read.prompts import audit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@pytest.mark.parametrize(
    ("ranks", "kills"),
    [
        (1, [("the base's checkpoint half written", None), ("RL's resume point half written", None)]),
        pytest.param(2, [("pretraining", 1), ("RL", None)], marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_equals_straight(ranks: int, kills: list[tuple[str, int | None]], tmp_path: Path) -> None:
    finish(tmp_path / "straight", ranks)
    weights = [(tmp_path / f"straight/{stage}/checkpoint/model.safetensors") for stage in ("01_pretrain", "02_r1_zero")]
    assert weights[0].read_bytes() != weights[1].read_bytes()  # there is something to lose
    for moment, single in kills:
        kill_at(tmp_path / "killed", ranks, MOMENTS[moment], single)
        assert not (tmp_path / "killed/02_r1_zero/result.json").exists()
    finish(tmp_path / "killed", ranks)
    assert differences(contents(tmp_path / "straight"), contents(tmp_path / "killed")) == []


@pytest.mark.slow
@pytest.mark.parametrize("plain", ["nano-zero", EXPERTS], ids=["shared", "experts on their ranks"])
def test_with_shared_weights_it_is_killed_resumed_and_learns_what_whole_weights_do(tmp_path: Path, plain: str) -> None:
    """A rank is killed, then the run while it saves; the curve is the local learner's up to the order of sums.

    What torch writes of a state's making differs: in ``.metadata``, a number drawn for it and its path.
    """
    recipe, killed = f"{plain}{FSDP}", tmp_path / "restarts"
    finish(tmp_path / "straight", 2, recipe)
    for moment, single in (("pretraining", 1), ("RL's resume point half written", None), ("RL", 0)):
        kill_at(killed, 2, MOMENTS[moment], single, recipe)
        assert not (killed / "02_r1_zero/result.json").exists()
    finish(killed, 2, recipe)
    told = differences(contents(tmp_path / "straight"), contents(killed))
    assert [line for line in told if "/.metadata: " not in line] == []
    finish(tmp_path / "whole", 2, plain)
    for stage, names in (("01_pretrain", ("loss", "grad_norm")), ("02_r1_zero", ("reward", "response_tokens", "kl"))):
        shared, whole = (
            [json.loads(line) for line in (tmp_path / f"{run}/{stage}/metrics.jsonl").read_text().splitlines()]
            for run in ("straight", "whole")
        )
        assert len(shared) == len(whole) > 3
        for one, other in zip(shared, whole, strict=True):
            for name in names:
                assert one[name] == pytest.approx(other[name], rel=1e-2, abs=1e-3), (stage, one["step"], name)


@pytest.mark.parametrize(
    ("ranks", "number", "group"),
    [(1, signal.SIGTERM, False), pytest.param(2, signal.SIGINT, True, marks=pytest.mark.slow)],
)
def test_a_signal_writes_a_resume_point_and_ends_it_with_one_line(
    ranks: int, number: signal.Signals, group: bool, tmp_path: Path
) -> None:
    """``group``: it reaches all processes of the run, as Ctrl-C in a terminal does."""
    line, step = stopped(tmp_path / "run", ranks, number, MOMENTS["pretraining"], group)
    stands = f"pretrain stands at step {step} of 30"
    assert line == f"r1: interrupted by {number.name}: {stands}; run the same command to go on\n"


def stopped(run: Path, ranks: int, number: signal.Signals, moment: Moment, group: bool = False) -> tuple[str, int]:
    """What a run says that is sent a signal at a moment, and the step that its newest resume point holds."""
    said = run.with_suffix(".out")
    before = said.stat().st_size if said.exists() else 0
    process = start(run, ranks)
    while process.poll() is None and not (said.stat().st_size > before and moment(run)):  # it heeds signals by then
        time.sleep(0.005)
    ranks_of_it = children(process.pid)
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, number)
    assert process.wait(60) in (130, 0)  # 0: it came behind the end
    wait_gone(process.pid, ranks_of_it)
    points = sorted(run.glob("*/resume/state.json"))
    return run.with_suffix(".err").read_text(), json.loads(points[-1].read_text())["step"] if points else 0


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_at_every_moment_and_resumed_equals_straight(
    ranks: int, number: signal.Signals, tmp_path: Path
) -> None:
    finish(tmp_path / "straight", ranks)
    run = tmp_path / "stopped"
    for moment in MOMENTS.values():
        if not (run / "02_r1_zero/result.json").exists():
            stopped(run, ranks, number, moment)
    told = run.with_suffix(".err").read_text().splitlines()
    assert told
    assert all(line.startswith(f"r1: interrupted by {number.name}: ") for line in told)
    finish(run, ranks)
    assert differences(contents(tmp_path / "straight"), contents(run)) == []


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_ahead_of_the_learner_it_is_the_same_run_too(ranks: int, tmp_path: Path) -> None:
    """Killed in RL with what an engine samples for later steps under way."""
    finish(tmp_path / "straight", ranks, "ahead")
    for done in (2, 5):
        kill_at(tmp_path / "killed", ranks, partial(has_learnt, done), None, "ahead")
    finish(tmp_path / "killed", ranks, "ahead")
    assert differences(contents(tmp_path / "straight"), contents(tmp_path / "killed")) == []
    assert audit(tmp_path / "killed/02_r1_zero", completions=4, max_lag=2) == []


def has_learnt(steps: int, run: Path) -> bool:
    return lines(run / "02_r1_zero/metrics.jsonl") >= steps


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_ten_times_in_a_row(ranks: int, tmp_path: Path) -> None:
    seconds = finish(tmp_path / "straight", ranks)
    expected = contents(tmp_path / "straight")
    for seed in range(10):
        repetition(tmp_path, ranks, seed, 6, expected, seconds)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_chain_killed_ten_times_over_one_run(ranks: int, tmp_path: Path) -> None:
    seconds = finish(tmp_path / "straight", ranks, "nano")
    chain_repetition(tmp_path, ranks, 1, 10, contents(tmp_path / "straight"), seconds)


@pytest.mark.slow
def test_the_chain_killed_in_the_middle_equals_straight(tmp_path: Path) -> None:
    """Every stage of the shipped chain, tiny, on two ranks; killed in a data stage, in SFT and among the students."""
    finish(tmp_path / "straight", 2, "nano")
    expected = contents(tmp_path / "straight")
    for stage in ("06_rejection_sampling/candidates.jsonl", "07_sft/key.json", "10_distill/llama-s/base/result.json"):
        kill_at(tmp_path / "killed", 2, lambda run, stage=stage: (run / stage).exists(), None, "nano")
    finish(tmp_path / "killed", 2, "nano")
    assert differences(expected, contents(tmp_path / "killed")) == []
    weights = {hash(data) for name, data in expected.items() if name.endswith("model.safetensors")}
    assert len(weights) >= 13  # base, five policies, two reward models, three students' bases and what became of them


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
        "metrics.jsonl: 2 and 1 lines, first difference at 0 in loss",
        "model.safetensors: differs",
    ]


def test_the_chain_runs_from_end_to_end_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    """The shipped chain, tiny: killed while it samples, then to the end; every stage leaves its result."""
    kill_at(tmp_path / "run", 1, lambda run: (run / "06_rejection_sampling/candidates.jsonl").exists(), None, "nano")
    finish(tmp_path / "run", 1, "nano")
    done = sorted(path.parent.name[3:] for path in (tmp_path / "run").glob("[0-9]*/result.json"))
    assert done == sorted(load_recipe("nano").stages)
    table = json.loads((tmp_path / "run/11_evaluate/result.json").read_text())["metrics"]
    assert list(table) == ["base", "r1_zero", "cold_start_sft", "reasoning_rl", "sft", "all_scenarios_rl"]
    judged = set(load_recipe("nano").stages["evaluate"].evaluation.tasks)
    assert all(set(tasks) == judged for tasks in table.values())
