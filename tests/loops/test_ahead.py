"""Rollouts ahead of the learner: the bound, determinism, what a kill costs, and what becomes of every prompt."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.loops import rl
from r1kit.loops.ahead import Ahead
from r1kit.loops.curriculum import Curriculum
from r1kit.loops.settings import RL
from r1kit.maths.settings import PolicyLoss
from r1kit.report.read.prompts import audit
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.rollout.streams import stream_seed

from .apart import Apart, Held
from .test_rl import Killed, Mixed, metrics
from .toy import CONFIG, Toy, policy_of, toy

AHEAD = replace(CONFIG, max_lag=2, record_groups=4)
MORE = {"lag", "lag_max", "off_policy_share", "waited_seconds", "queue", "dropped"}
"""Metrics of sampling ahead."""


@dataclass
class Sitting:
    """A toy whose engine is apart."""

    one: Toy
    engine: Apart

    def train(self, config: RL = AHEAD, watch: Any = None) -> int:
        one = self.one
        return rl.train(
            config, policy_of(one.workspace, self.engine, one.learner, one.scorer, one.evaluator), None, watch
        )


def apart(folder: Path, delay: Callable[[], float] = lambda: 0.0, scorer: Any = None, ranks: Any = None) -> Sitting:
    one = toy(folder, ranks, scorer)
    return Sitting(one, Apart(LocalEngine(one.learner.flat.model, CodePoints(), end_ids=[0]), delay))  # type: ignore[arg-type]


def slow(seed: int) -> Callable[[], float]:
    draw = random.Random(seed)
    return lambda: draw.choice([0.0, 0.0, 0.002, 0.02])


def log(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"02_r1_zero/{name}.jsonl").read_text().splitlines()]


def wrong(folder: Path, config: RL = AHEAD) -> list[str]:
    return audit(folder / "02_r1_zero", config.sampling.n, config.max_lag)


def test_a_bound_of_nothing_is_the_synchronous_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, flat groups replaced and prompts drawn by their pass rates."""
    config = replace(CONFIG, dynamic_sampling=1, curriculum=Curriculum(by="pass_rate"), minibatches=2, record_groups=4)
    straight = toy(tmp_path / "in turn")
    straight.train(config)
    monkeypatch.setattr(rl, "Rollouts", Ahead)
    other = apart(tmp_path / "apart", slow(1))
    other.train(config)
    ahead = [{k: v for k, v in line.items() if k not in MORE} for line in metrics(tmp_path / "apart")]
    assert ahead == metrics(tmp_path / "in turn")
    assert torch.equal(other.one.learner.flat.master, straight.learner.flat.master)
    assert log(tmp_path / "apart", "prompts") == log(tmp_path / "in turn", "prompts")
    assert wrong(tmp_path / "in turn", config) == wrong(tmp_path / "apart", config) == []


@pytest.mark.parametrize(
    "more", [{}, {"minibatches": 4, "dynamic_sampling": 1}, {"loss": PolicyLoss(importance="truncated")}]
)
def test_in_turn_a_run_is_a_function_of_its_seed_whatever_takes_how_long(tmp_path: Path, more: dict[str, Any]) -> None:
    config = replace(AHEAD, **more)
    runs = [apart(tmp_path / str(seed), slow(seed)) for seed in range(3)]
    for run in runs:
        run.train(config)
    assert metrics(tmp_path / "0") == metrics(tmp_path / "1") == metrics(tmp_path / "2")
    assert log(tmp_path / "0", "rollouts") == log(tmp_path / "1", "rollouts") == log(tmp_path / "2", "rollouts")
    for run in runs[1:]:
        assert torch.equal(run.one.learner.flat.master, runs[0].one.learner.flat.master)
    assert [line["lag_max"] for line in metrics(tmp_path / "0")] == [0, 1, 2, 2, 2, 2]
    assert wrong(tmp_path / "0", config) == []


def test_what_is_stale_is_clipped_by_its_distance_from_its_sampler(tmp_path: Path) -> None:
    """One update a step: with the trainer's own log-probs as the old ones no ratio would ever leave 1."""
    config = replace(AHEAD, max_lag=1, max_gap=0.0, optimiser=replace(AHEAD.optimiser, lr=0.1))
    for name, more in (("plain", {}), ("weighed", {"loss": PolicyLoss(importance="truncated", importance_cap=1.0)})):
        run = apart(tmp_path / name)
        run.train(replace(config, **more))
    plain, weighed = metrics(tmp_path / "plain"), metrics(tmp_path / "weighed")
    assert (plain[0]["clip_share"], plain[0]["ratio"]) == (0.0, 1.0)  # of the newest weights
    assert all(line["clip_share"] > 0 and line["ratio_max"] > 1.28 for line in plain[1:4])
    assert all(line["sampler_gap"] == 0 for line in plain[1:4])
    assert all((line["clip_share"], line["ratio"]) == (0.0, 1.0) for line in weighed[1:4])
    assert all(line["sampler_gap"] > 0.01 and line["importance_cut_share"] > 0 for line in weighed[1:4])


def test_prompts_are_dealt_before_their_step_and_not_past_the_end(tmp_path: Path) -> None:
    run = apart(tmp_path)
    run.train()
    dealt = [[number for number, _ in line["dealt"]] for line in log(tmp_path, "prompts")]
    assert dealt == [list(range(12)), [12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23], [], []]
    assert [line["learnt"] for line in log(tmp_path, "prompts")] == [list(range(i, i + 4)) for i in range(0, 24, 4)]
    assert len(run.engine.asked) == 24


@pytest.mark.parametrize("more", [{}, {"dynamic_sampling": 1, "minibatches": 2}])
def test_killed_and_gone_on_equals_straight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """What was sampled by weights that are gone is kept with the resume point."""
    config = replace(AHEAD, **more)
    straight = apart(tmp_path / "straight")
    straight.train(config)
    update, calls = rl._update, [0]

    def dies(*arguments: Any) -> dict[str, float]:
        found = update(*arguments)
        calls[0] += 1
        if calls[0] in (3, 6):
            raise Killed
        return found

    monkeypatch.setattr(rl, "_update", dies)
    for seed in range(2):
        with pytest.raises(Killed):
            apart(tmp_path / "killed", slow(seed)).train(config)
    last = apart(tmp_path / "killed", slow(5))
    last.train(config)
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "straight")
    for name in ("rollouts", "prompts"):
        assert log(tmp_path / "killed", name) == log(tmp_path / "straight", name)
    assert torch.equal(last.one.learner.flat.master, straight.one.learner.flat.master)
    assert wrong(tmp_path / "killed", config) == []


def test_early_stop_leaves_nothing_out(tmp_path: Path) -> None:
    run = apart(tmp_path, slow(3))
    assert run.train(watch=lambda step, found: "enough" if step == 3 else "") == 3
    for thread in run.engine.threads:
        thread.join(10)
    assert log(tmp_path, "prompts")[-1]["stopped"] == list(range(12, 20))
    assert wrong(tmp_path) == []
    assert run.one.evaluator.evaluated[-1] == (3, "test")


READY = replace(AHEAD, order="ready", steps=8)


def held(folder: Path, number: int, scorer: Any = None) -> tuple[Sitting, Any]:
    """A sitting in which one prompt's completions are held back, and what lets them go."""
    run = apart(folder, scorer=scorer)
    seed = stream_seed(run.one.workspace.seed, "r1_zero", "rollout", number)
    engine = Held(run.engine.engine, [seed])
    return Sitting(run.one, engine), engine.held[seed]


def test_a_slow_group_holds_no_step_until_it_would_be_too_old(tmp_path: Path) -> None:
    """Prompt 1 was dealt under version 0, so step 3 (of version 2) is the last that may learn from it."""
    run, let_go = held(tmp_path, 1)
    seen: list[int] = []

    def watch(step: int, found: Any) -> str:
        seen.append(step)
        if step == 2:
            let_go.set()
        return ""

    run.train(READY, watch)
    assert seen == list(range(8))  # it was let go at step 2 and not before: two steps were done without it
    assert [1 in line["learnt"] for line in log(tmp_path, "prompts")][:3] == [False, False, True]
    assert max(line["lag_max"] for line in metrics(tmp_path)) == 2
    assert wrong(tmp_path, READY) == []
    assert sorted(n for line in log(tmp_path, "prompts") for n in line["learnt"]) == list(range(32))


def test_a_group_that_would_be_too_old_is_left_out_and_counted(tmp_path: Path) -> None:
    config = replace(READY, late="drop")
    run, let_go = held(tmp_path, 1)
    run.train(config)
    let_go.set()
    lines = log(tmp_path, "prompts")
    assert [line["dropped"] for line in lines if "dropped" in line] == [[1]]
    assert sum(line["dropped"] for line in metrics(tmp_path)) == 1
    assert sorted(n for line in lines for n in line["learnt"]) == [0, *range(2, 33)]  # one more was dealt in its place
    assert wrong(tmp_path, config) == []


def test_flat_groups_are_replaced_from_what_is_ready(tmp_path: Path) -> None:
    first = 1_000_003
    flat = frozenset(f"toy/train/{first + i}" for i in (0, 2, 5))
    config = replace(READY, dynamic_sampling=2)
    run = apart(tmp_path, slow(2), Mixed(flat=flat))
    run.train(config)
    assert all(line["flat_group_share"] == 0 for line in metrics(tmp_path))
    assert sorted(n for line in log(tmp_path, "prompts") for n in line.get("flat", [])) == [0, 2, 5]
    assert wrong(tmp_path, config) == []
    assert len(run.engine.asked) == 35  # 8 steps of 4, and 3 in place of what was flat: no whole rollout more


@pytest.mark.parametrize("late", ["wait", "drop"])
def test_prompts_are_accounted_for_after_kills_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: Any) -> None:
    config = replace(READY, late=late, max_lag=3, dynamic_sampling=1)
    update, draw = rl._update, random.Random(4)

    def dies(*arguments: Any) -> dict[str, float]:
        if draw.random() < 0.3:
            raise Killed
        return update(*arguments)

    monkeypatch.setattr(rl, "_update", dies)
    for sitting in range(30):
        try:
            apart(tmp_path, slow(sitting)).train(config)
        except Killed:
            continue
        break
    assert sitting > 1
    assert wrong(tmp_path, config) == []
    assert max(line["lag_max"] for line in metrics(tmp_path)) <= 3


@pytest.mark.parametrize(
    "config", [pytest.param(AHEAD, marks=pytest.mark.slow), replace(READY, dynamic_sampling=1, late="drop")]
)
def test_ranks_deal_and_take_the_same(tmp_path: Path, on_ranks: Callable[..., list[Any]], config: RL) -> None:
    weights = on_ranks(2, "loops.ranked:train_apart", str(tmp_path), config)
    assert torch.equal(weights[0], weights[1])
    assert wrong(tmp_path, config) == []
    assert sum(len(line["learnt"]) for line in log(tmp_path, "prompts")) == config.steps * 4


def test_the_audit_finds_what_is_wrong(tmp_path: Path) -> None:
    apart(tmp_path).train()
    folder = tmp_path / "02_r1_zero"
    prompts, rollouts = (log(tmp_path, name) for name in ("prompts", "rollouts"))
    again = {"step": 7, "dealt": [[23, "x"], [26, "y"], [27, "z"]], "learnt": [0, 26, 30]}
    old = {**rollouts[-1], "version": 1, "tokens": 0}
    for name, lines in (("prompts", [*prompts, again]), ("rollouts", [*rollouts, old])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    name = rollouts[-1]["prompt_id"]
    assert wrong(tmp_path) == [
        "prompt 23 was dealt twice",
        "prompts [24, 25] were never dealt, and later ones were",
        "prompt 0 is accounted for 2 times",
        "prompt 30 was not dealt",
        "nothing became of prompt 27",
        f"step 6 learnt from an empty completion of {name}",
        f"step 6 learnt from {name}, which version 1 wrote",
        f"step 6 has 9 completions of {name}, which it learnt from 0 times",
    ]
