"""Slow verdicts: carried over, left out, logged, and repeated after a kill."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch

from r1kit.checks import check_stages
from r1kit.errors import InputError
from r1kit.loops import in_flight
from r1kit.loops.lag import Verdicts
from r1kit.loops.late import LOG
from r1kit.loops.settings import RL
from r1kit.maths.settings import PolicyLoss
from r1kit.recipe import load_recipe
from r1kit.records import Group, Prompt, Score
from r1kit.report.read.prompts import audit

from .test_rl import Killed
from .toy import CONFIG, Toy, ToyScorer, toy, turns

CARRY = replace(CONFIG, verdicts=Verdicts(slow="carry"), record_groups=4)
DROP = replace(CONFIG, verdicts=Verdicts(slow="drop"), record_groups=4)
NEVER = 3600.0


@dataclass
class SlowScorer(ToyScorer):
    """Verdicts of some prompts that come only when they are asked for, or after some seconds."""

    slow: frozenset[str] = frozenset()
    seconds: float = NEVER
    timers: list[Timer] = field(default_factory=list)
    kill_at: str = ""

    def submit(self, group: Group) -> Future[list[Score]]:
        if group.prompt.id == self.kill_at:
            raise Killed
        if group.prompt.id not in self.slow:
            return ToyScorer.submit(self, group)
        found: Future[list[Score]] = Future()

        def judge() -> None:
            if found.set_running_or_notify_cancel():
                found.set_result(self.score([group])[0])

        timer = Timer(self.seconds, judge)
        timer.daemon = True
        self.timers.append(timer)
        timer.start()
        return found

    def close(self) -> None:
        for timer in self.timers:
            timer.cancel()


def ids(*numbers: int) -> frozenset[str]:
    """Prompts by their running number, of seed 1."""
    return frozenset(f"toy/train/{1_000_003 + number}" for number in numbers)


def log(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"02_r1_zero/{name}").read_text().splitlines()]


def learnt(folder: Path) -> list[list[int]]:
    return [line["learnt"] for line in log(folder, "prompts.jsonl") if line.get("learnt")]


def weights(one: Toy) -> torch.Tensor:
    return one.learner.flat.master


def test_without_a_slow_verdict_it_is_what_waits(tmp_path: Path) -> None:
    plain, carrying = toy(tmp_path / "plain"), toy(tmp_path / "carry")
    plain.train(replace(CARRY, verdicts=Verdicts()))
    carrying.train(CARRY)
    assert torch.equal(weights(plain), weights(carrying))
    assert learnt(tmp_path / "plain") == learnt(tmp_path / "carry") == [[4 * k + i for i in range(4)] for k in range(6)]
    assert not (tmp_path / "plain/02_r1_zero" / LOG).exists()


def test_a_slow_group_is_carried_to_the_next_step_which_waits_for_it(tmp_path: Path) -> None:
    scorer = SlowScorer(slow=ids(1), seconds=0.3)
    toy(tmp_path, scorer=scorer).train(CARRY)
    # step 0 learns from 0, 2, 3; step 1 holds 1, deals 4, 5, 6 alone and waits for 1, which is due
    assert learnt(tmp_path) == [
        [0, 2, 3],
        [1, 4, 5, 6],
        [7, 8, 9, 10],
        [11, 12, 13, 14],
        [15, 16, 17, 18],
        [19, 20, 21, 22],
    ]
    lines = log(tmp_path, "metrics.jsonl")
    assert [(line["late"], line["carried"], line["dropped"]) for line in lines[:3]] == [(1, 0, 0), (0, 1, 0), (0, 0, 0)]
    assert audit(tmp_path / "02_r1_zero", CONFIG.sampling.n, 1) == []
    assert log(tmp_path, LOG)[0] == {"step": 0, "attempt": 0, "late": [1]}


def test_the_last_step_leaves_nothing_behind(tmp_path: Path) -> None:
    scorer = SlowScorer(slow=ids(23), seconds=0.2)
    toy(tmp_path, scorer=scorer).train(CARRY)
    assert learnt(tmp_path)[-1] == [20, 21, 22, 23]


def test_a_slow_group_is_left_out_and_counted(tmp_path: Path) -> None:
    scorer = SlowScorer(slow=ids(1, 6))
    toy(tmp_path, scorer=scorer).train(DROP)
    scorer.close()
    assert learnt(tmp_path)[:3] == [[0, 2, 3], [4, 5, 7], [8, 9, 10, 11]]
    assert [line["dropped"] for line in log(tmp_path, "metrics.jsonl")] == [1, 1, 0, 0, 0, 0]
    assert audit(tmp_path / "02_r1_zero", CONFIG.sampling.n) == []


def test_a_step_waits_for_one_group_at_least_and_for_as_long_as_it_has_patience(tmp_path: Path) -> None:
    toy(tmp_path / "all", scorer=SlowScorer(slow=ids(0, 1, 2, 3), seconds=0.1)).train(replace(DROP, steps=1))
    assert len(learnt(tmp_path / "all")[0]) >= 1
    patient = replace(DROP, steps=1, verdicts=Verdicts(slow="drop", patience=60.0))
    toy(tmp_path / "patient", scorer=SlowScorer(slow=ids(2), seconds=0.1)).train(patient)
    assert learnt(tmp_path / "patient") == [[0, 1, 2, 3]]


@pytest.mark.parametrize("late", [(1, 2, 3), (1,)])
def test_what_is_left_of_a_step_is_learnt_whole_in_as_many_minibatches_as_it_fills(
    late: tuple[int, ...], tmp_path: Path
) -> None:
    """8 rows where 16 minibatches are asked for; 24, which are no round number of them."""
    scorer = SlowScorer(slow=ids(*late))
    toy(tmp_path, scorer=scorer).train(replace(DROP, steps=1, minibatches=16))
    scorer.close()
    (line,) = log(tmp_path, "metrics.jsonl")
    told = sum(row["tokens"] for row in log(tmp_path, "rollouts.jsonl") if row["advantage"])
    assert line["tokens"] == told > 0


def test_a_step_of_few_rows_leaves_out_no_turn_of_the_reference(tmp_path: Path) -> None:
    """The first step has rows for 8 updates of 16: the one before which the reference is due is never made."""
    scorer = SlowScorer(slow=ids(1, 2, 3))
    one = toy(tmp_path, scorer=scorer)
    found = turns(one)
    one.train(replace(DROP, steps=2, minibatches=16, reference_every=12, loss=PolicyLoss(kl_weight=0.1)))
    scorer.close()
    assert "".join(found) == "R" + 8 * "u" + "R" + 8 * "u" + "R" + 8 * "u"


@pytest.mark.parametrize("config", [CARRY, DROP])
def test_a_run_that_was_killed_repeats_what_timing_decided(config: RL, tmp_path: Path) -> None:
    """The second sitting's verdicts all come at once, and still the same groups are late."""
    whole = toy(tmp_path / "whole", scorer=SlowScorer(slow=ids(1, 9, 10), seconds=0.3))
    whole.train(config)
    first = toy(tmp_path / "killed", scorer=SlowScorer(slow=ids(1, 9, 10), seconds=0.3, kill_at=min(ids(13))))
    with pytest.raises(Killed):
        first.train(config)
    second = toy(tmp_path / "killed")
    second.train(config)
    assert learnt(tmp_path / "killed") == learnt(tmp_path / "whole")
    assert torch.equal(weights(second), weights(whole))
    assert log(tmp_path / "killed", LOG) == log(tmp_path / "whole", LOG)


@pytest.mark.parametrize(("size", "ranks"), [(2, [1, 0, 1]), (3, [0, 1, 2]), (1, [0, 0, 0])])
def test_what_is_carried_stays_with_the_rank_that_sampled_it(size: int, ranks: list[int], tmp_path: Path) -> None:
    """Of two ranks; where there are others now, it is dealt to them in turn."""
    for rank, numbers in enumerate(([6], [5, 9])):
        prompt = Prompt(id="p", task="toy", question="q", answer="a", also=("b",))
        out = [in_flight.Out(number=number, prompt=prompt, step=1, due=2, rank=rank) for number in numbers]
        in_flight.write(tmp_path / f"carried-{rank}.pt", out)
    found = in_flight.read(tmp_path, "carried-", size)
    assert [(one.number, one.rank) for one in found] == list(zip([5, 6, 9], ranks, strict=True))
    assert {one.prompt.answers for one in found} == {("a", "b")}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["r1_zero.verdicts.patience=2"], 'verdicts.patience = 2.0 is for slow = "carry" or "drop"'),
        (["r1_zero.verdicts={slow='carry', carry_steps=0}"], "carry_steps = 0 at least 1"),
        (["r1_zero.verdicts={slow='drop', carry_steps=3}"], 'carry_steps = 3 is for slow = "carry"'),
        (["r1_zero.verdicts={slow='drop', patience=-1}"], "patience = -1.0 must be at least 0"),
        (["r1_zero.verdicts.slow=drop", "cluster.engines=1", "r1_zero.max_lag=2"], 'slow = "drop" is for max_lag = 0'),
        (["r1_zero.verdicts.slow=carry", "r1_zero.loss={clip_low=1.0}"], 'verdicts.slow = "carry" needs a bound'),
    ],
)
def test_settings_that_cannot_work(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_stages(load_recipe("nano-zero", overrides))
