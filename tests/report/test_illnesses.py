"""The doctor: every illness on a run made to have it, and nothing on a healthy one."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ill import found, held, real, rollout, written
from rollout.replicas import Numbered, Server, ServerReplica

from r1kit.report.read.illnesses import patient as patients
from r1kit.report.read.illnesses.doctor import Doctor
from r1kit.report.read.illnesses.form import lacking
from r1kit.report.read.run_folder import RunFolder
from r1kit.rollout.pool import Pool


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that was never taught the form, cut at 8 tokens."""
    return real(tmp_path_factory.mktemp("untaught"))


def test_a_base_that_never_writes_the_form(untaught: Path) -> None:
    ills = found(untaught)
    assert set(ills) == {"flat reward", "format never matched", "truncation"}
    form = ills["format never matched"]
    assert (form.since, form.severity, form.metric) == (1, "serious", "format")
    assert (form.setting, form.value) == ("r1_zero.reward.format_style", "think_answer")
    assert form.example is not None
    assert form.seen == (
        "none of the last 5 steps' completions has the form think_answer; the nearest miss: " + form.example.says
    )
    tags = ("<think>", "</think>", "<answer>", "</answer>")
    assert sum(tag in form.example.completion for tag in tags) >= 2  # a random one has fewer


def test_flat_groups_and_cut_completions_name_the_setting(untaught: Path) -> None:
    ills = found(untaught)
    flat, cut = ills["flat reward"], ills["truncation"]
    assert "in 100% of the last 5 steps' groups all completions earn the same (mean reward 0)" in flat.seen
    assert (cut.setting, cut.value, cut.since) == ("r1_zero.sampling.max_tokens", 8, 1)
    assert "are cut at sampling.max_tokens = 8" in cut.seen


@pytest.mark.parametrize("steps", [1, 4])
def test_few_steps_give_no_verdict(tmp_path: Path, steps: int) -> None:
    assert found(written(tmp_path, steps, lambda step: {"truncated_share": 1.0, "flat_group_share": 1.0})) == {}


def test_a_healthy_run_has_nothing(tmp_path: Path) -> None:
    assert found(written(tmp_path, 80, lambda step: {"reward": step / 80, "accuracy": step / 80})) == {}


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("flat reward", {"flat_group_share": 1.0}),
        ("truncation", {"truncated_share": 0.7}),
        ("verifier timeouts", {"timeout_share": 0.1}),
        ("ungradable completions", {"ungradable_share": 0.1}),
        ("entropy collapse", {"entropy": 0.01}),
        ("KL running away", {"kl": 3.0}),
        ("sampler-learner gap", {"engine_gap": 0.04}),
        ("learning rate too high", {"accuracy": 0.0}),
        ("format never matched", {"format": 0.0}),
        ("length collapse", {"response_tokens": 8.0}),
    ],
)
def test_since_when(tmp_path: Path, name: str, metrics: dict[str, float]) -> None:
    """Healthy to step 20, ill from 21. The mean of five steps passes a threshold sooner the lower that is (truncation
    from the one of steps 19 to 23 on: three of .7, two of .02); the first step of those that is ill itself is 21."""
    ill = found(written(tmp_path, 40, lambda step: metrics if step > 20 else {}))
    assert set(ill) == {name}
    assert ill[name].since == 21


def test_an_illness_that_has_passed_is_none(tmp_path: Path) -> None:
    assert found(written(tmp_path, 40, lambda step: {"truncated_share": 0.9 if step <= 20 else 0.0})) == {}


@pytest.mark.parametrize("sign", [{"grad_norm": 30.0}, {"ratio_max": 1e4}])
def test_signs_of_too_high_a_learning_rate(tmp_path: Path, sign: dict[str, float]) -> None:
    ill = found(written(tmp_path, 30, lambda step: sign if step > 20 else {}))["learning rate too high"]
    assert (ill.metric, ill.setting) == (next(iter(sign)), "r1_zero.optimiser.lr")


def test_a_first_update_that_breaks_the_policy(tmp_path: Path) -> None:
    """The first line is of the policy as it came, before any update: .14 of accuracy, and none from then on."""
    broken = found(written(tmp_path, 12, lambda step: {"accuracy": 0.14 if step == 1 else 0.0, "reward": 0.2}))
    assert broken["learning rate too high"].seen == "accuracy fell from 0.14 (step 1) to 0"


@pytest.mark.parametrize("seed", range(6))
def test_lines_of_any_other_kind_break_nothing(tmp_path: Path, seed: int) -> None:
    """Every value may be missing or another: it then counts as missing."""
    draw = random.Random(seed)
    odd = [None, "x", -1, 1e308, [], {}, [1, 2], {"a": 1}, True, "</think>", 10**30]

    def spoilt(row: dict[str, Any]) -> dict[str, Any]:
        return {name: draw.choice(odd) if draw.random() < 0.2 else value for name, value in row.items()}

    run = written(tmp_path, 20, rollouts=[spoilt(rollout(step, "<think> 1 + 1 = 2")) for step in range(1, 60)])
    log = run / "01_r1_zero" / "metrics.jsonl"
    log.write_text("".join(json.dumps(spoilt(json.loads(line))) + "\n" for line in log.read_text().splitlines()))
    gate = {"task": "t", "warnings": ["w"], "measures": {"accuracy": 0.1}}
    (run / "01_r1_zero" / "gate.json").write_text(json.dumps([spoilt(gate), "x"]))
    row = {"step": 0, "task": "t", "k": 16, "problems": 24, "avg_at_k": 0.9, "diagnostics": {"arithmetic_right": 0.1}}
    (run / "01_r1_zero" / "eval.jsonl").write_text(json.dumps(spoilt(row)) + "\n{torn")
    assert all(one.seen and one.helps for one in Doctor(RunFolder(run)).look(0.0))


# ---- rollouts --------------------------------------------------------------------------------------------------------


def circles(step: int) -> dict[str, object]:
    words = "try one more time and then again " * 12 if step > 30 else f"a {step} b {step + 1} so it is {step + 2}"
    return rollout(step, words, parts={"accuracy": 0.0}, answer=str(step))


def test_completions_that_go_round_in_circles(tmp_path: Path) -> None:
    run = written(tmp_path, 60, rollouts=(circles(step) for step in range(1, 61) for _ in range(2)))
    ill = found(run)["repetition"]
    assert "60 of the last 120 recorded completions repeat themselves" in ill.seen
    assert ill.example is not None
    assert ill.example.says == "91% of its runs of 8 words had been there before"  # 7 of 77 runs are new


def test_no_answer_that_the_style_finds(tmp_path: Path) -> None:
    rows = (rollout(step, "the answer is 7") for step in range(1, 41))
    ill = found(written(tmp_path, 40, lambda step: {"accuracy": 0.0, "reward": 0.1}, rollouts=rows))
    assert ill["answer never found"].setting == "r1_zero.reward.answer_style"
    assert ill["answer never found"].value == "tag"


@pytest.mark.parametrize(
    ("text", "finish", "style", "lacks"),
    [
        ("<think> a </think> <answer> 7 </answer>", "stop", "think_answer", []),
        ("<think> a </think> <answer> 7", "length", "think_answer",
         ["it was cut before its end", "</answer> is missing"]),
        ("So: <think> a </think> <answer> 7 </answer>", "stop", "think_answer", ["'So:' stands before <think>"]),
        ("<think> a </think> thus <answer> 7 </answer> ok", "stop", "think_answer",
         ["'thus' stands between </think> and <answer>", "'ok' stands after </answer>"]),
        ("<think> a </think> thus <answer> 7 </answer>", "stop", "think_summary", []),
        ("<think> a </think> <answer> 7 </answer> <answer> 8 </answer>", "stop", "think_answer",
         ["<answer> stands there 2 times", "</answer> stands there 2 times"]),
        ("<answer> 7 </answer> <think> a </think>", "stop", "think_answer", ["the tags are not in their order"]),
        ("<think> </think> <answer> </answer>", "stop", "think_answer",
         ["nothing is thought between <think> and </think>", "nothing is answered between <answer> and </answer>"]),
        ("<think> a </think> <answer> 7 </answer>", "stop", "strict",
         ["a tag lacks its line break (the form strict has one around each)"]),
        ("<|channel|>analysis<|message|> a <|end|><|start|>assistant<|channel|>final<|message|><answer> 7 </answer>",
         "stop", "think_answer", []),
        ("it is 7", "stop", "boxed", ["no \\boxed{…} with an answer after the thinking"]),
    ],
)  # fmt: skip
def test_what_a_near_miss_lacks(text: str, finish: str, style: str, lacks: list[str]) -> None:
    assert lacking(text, finish, style) == lacks


# ---- a run that is going on ------------------------------------------------------------------------------------------


@pytest.fixture
def going_on(tmp_path: Path) -> Iterator[Path]:
    """Steps of a second each, held as by ``r1 run``."""
    run = written(tmp_path, 10, lambda step: {"seconds": float(step)})
    lock = held(run)
    yield run
    os.close(lock)


def test_silence_while_the_run_is_held(going_on: Path) -> None:
    """Steps of a second: two minutes of silence are let pass, no more."""
    wrote = (going_on / "01_r1_zero" / "metrics.jsonl").stat().st_mtime
    assert found(going_on, wrote + 100) == {}
    assert "nothing was written for 2 min 10 s" in found(going_on, wrote + 130)["stalled"].seen


def test_what_a_part_writes_and_a_wait_for_people_are_no_silence(going_on: Path) -> None:
    stage = going_on / "01_r1_zero"
    wrote = (stage / "metrics.jsonl").stat().st_mtime
    (stage / "part").mkdir()
    (stage / "part" / "metrics.jsonl").write_text("")
    os.utime(stage / "part" / "metrics.jsonl", (wrote + 100, wrote + 100))
    assert found(going_on, wrote + 130) == {}
    assert "stalled" in found(going_on, wrote + 230)
    recipe = going_on / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[stages.r1_zero]\n", '[stages.r1_zero]\nreview = "human"\n'))
    (stage / "review.jsonl").write_text("")
    assert found(going_on, wrote + 1e6) == {}


def test_a_run_that_nobody_holds_is_stopped_and_not_stalled(tmp_path: Path) -> None:
    run = written(tmp_path, 10)
    os.close(held(run))
    assert found(run, time.time() + 1e6) == {}


# ---- looking again ---------------------------------------------------------------------------------------------------


def test_a_look_sees_what_came_since(tmp_path: Path) -> None:
    run = written(tmp_path, 5, lambda step: {"truncated_share": 0.9})
    doctor = Doctor(RunFolder(run))
    assert [one.name for one in doctor.look(0.0)] == ["truncation"]
    log = run / "01_r1_zero" / "metrics.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines + [line.replace('"truncated_share": 0.9', '"truncated_share": 0.0') for line in
                                      (one.replace(f'"step": {n}', f'"step": {n + 5}') for n, one in
                                       enumerate(lines, start=1))]) + "\n")  # fmt: skip
    assert doctor.look(0.0) == []


def test_an_engine_that_was_lost(going_on: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noted by the pool itself, whose replicas are lost as on another host."""
    monkeypatch.setenv("R1KIT_RUN", str(going_on))
    said: list[str] = []
    servers = [Server(f"engine {number}") for number in range(2)]
    pool = Pool([ServerReplica(server) for server in servers], tell=said.append, look_every=0.02)
    pool.load_weights(Numbered(1), 1)
    try:
        wrote = (going_on / "01_r1_zero" / "metrics.jsonl").stat().st_mtime
        assert found(going_on, wrote) == {}
        servers[0].die("no sign of life for 10 s")
        until(lambda: said)
        ill = found(going_on, wrote)["dead engine"]
        assert ill.seen == "engine 0 does not serve: no sign of life for 10 s; 1 of the others serves"
        assert (ill.severity, ill.since) == ("warning", 10)
        servers[1].die("no sign of life for 10 s")
        until(lambda: len(said) == 2)
        assert [one.severity for one in Doctor(RunFolder(going_on)).look(wrote)] == ["serious", "serious"]
        servers[0].restart()
        until(lambda: len(said) == 3)
        assert [one.seen for one in Doctor(RunFolder(going_on)).look(wrote)] == [
            "engine 1 does not serve: no sign of life for 10 s; 1 of the others serves"
        ]
    finally:
        pool.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_since_when_a_group_holds_one_completion(tmp_path: Path) -> None:
    """Groups of eight; of step 31 and later all are the same. Among 32, in strides of 8, .1 of a group's others differ
    on the mean of four groups only where all four are such."""
    rows = (rollout(step, "one" if step > 30 else f"{step} {row}") for step in range(1, 41) for row in range(8))
    ill = found(written(tmp_path, 40, rollouts=rows))["entropy collapse"]
    assert ill.since == 31


def test_since_when_in_a_log_that_is_longer_than_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 steps of eight rollouts, ill from step 101 on, of which 20 kB are read; halving finds it within a piece."""
    monkeypatch.setattr(patients, "TAIL_BYTES", 20_000)
    rows = (rollout(step, "one" if step > 100 else f"{step} {row}") for step in range(1, 401) for row in range(8))
    ill = found(written(tmp_path, 400, rollouts=rows))["entropy collapse"]
    assert ill.since is not None
    assert 97 <= ill.since <= 110
