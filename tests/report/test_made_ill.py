"""Real runs whose settings make them ill; and illnesses of rewards, bases and machines on written ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ill import found, held, real, written

from r1kit.evals.gate import GateConfig, _reasoning_warnings
from r1kit.tasks.task import Claims

REWARDS = """
import time

def constant(prompt, completion):
    return 1.0

def sleepy(prompt, completion):
    if completion[:1] in "0123456789":
        time.sleep(9)
    return float(len(completion) % 2)

def shortest(prompt, completion):
    return 1 / (1 + len(completion))

def digits(prompt, completion):
    return sum(sign.isdigit() for sign in completion) / 20
"""


@pytest.fixture
def rewards(tmp_path: Path) -> str:
    """``FILE.py``, to be followed by ``:NAME``."""
    path = tmp_path / "mine.py"
    path.write_text(REWARDS)
    return str(path)


def paid(reference: str, **more: float) -> str:
    parts = {reference: 1.0, **more}
    return "r1_zero.reward.parts={" + ", ".join(f'"{name}" = {weight}' for name, weight in parts.items()) + "}"


# ---- runs by the loops ---------------------------------------------------------------------------------------------


def test_a_reward_that_is_constant(tmp_path: Path, rewards: str) -> None:
    ills = found(real(tmp_path, paid(f"{rewards}:constant"), "r1_zero.sampling.max_tokens=40"))
    assert "groups all completions earn the same (mean reward 1)" in ills["flat reward"].seen
    assert "format never matched" not in ills  # it is not paid for


def test_a_verifier_that_sleeps(tmp_path: Path, rewards: str) -> None:
    """Completions that begin with a digit take nine seconds, of which half of one is allowed."""
    few = ("prompts_per_step=1", "sampling.n=2", "verifier_workers=2", "evaluation.limit=1")
    settings = [f"r1_zero.{setting}" for setting in (*few, "deadline=0.2")]
    ill = found(real(tmp_path, paid(f"{rewards}:sleepy"), *settings))["verifier timeouts"]
    assert ill.severity == "serious"
    assert (ill.setting, ill.value) == ("r1_zero.deadline", 0.2)
    assert ill.example is not None
    assert ill.example.completion[0].isdigit()
    assert "mostly: " in ill.seen


def test_a_reward_for_saying_nothing(tmp_path: Path, rewards: str) -> None:
    """At a high rate: a dozen steps later every completion is empty."""
    settings = ("r1_zero.steps=20", "r1_zero.optimiser.lr=0.05", "r1_zero.sampling.max_tokens=12")
    ills = found(real(tmp_path, paid(f"{rewards}:shortest"), *settings))
    assert set(ills) == {"entropy collapse", "length collapse"}
    assert "the completions of each of the last 5 recorded groups are all the same" in ills["entropy collapse"].seen
    assert all(1 < (one.since or 0) < 20 for one in ills.values())


@pytest.mark.slow
def test_a_learning_rate_at_which_the_clip_cuts(tmp_path: Path, rewards: str) -> None:
    settings = [f"r1_zero.{one}" for one in ("steps=5", "optimiser.lr=0.3", "minibatches=8", "sampling.max_tokens=16")]
    ill = found(real(tmp_path, paid(f"{rewards}:digits"), *settings))["learning rate too high"]
    assert "the clip cuts ." in ill.seen
    assert (ill.setting, ill.value) == ("r1_zero.optimiser.lr", 0.3)


# ---- written ones ----------------------------------------------------------------------------------------------------


def test_a_reward_that_does_not_move(tmp_path: Path) -> None:
    """.3 and .34 in turn for 80 steps: the means of steps 21 to 40 and 61 to 80 are both .32."""
    still = written(tmp_path / "a", 80, lambda step: {"reward": 0.3 + 0.04 * (step % 2), "accuracy": 0.1})
    ill = found(still)["flat reward"]
    assert ill.severity == "warning"
    assert ill.since == 21
    assert "the mean reward has not risen for 60 steps (0.32 then, 0.32 now), and accuracy is .100" in ill.seen
    rises = written(tmp_path / "b", 80, lambda step: {"reward": 0.3 + 0.04 * (step % 2) + step / 1000, "accuracy": 0.1})
    assert found(rises) == {}  # by .04 between the two, with a standard error of .0065
    above = written(tmp_path / "c", 80, lambda step: {"reward": 0.9, "accuracy": 0.7})
    assert found(above) == {}  # a plateau


def test_a_reward_that_rises_without_accuracy(tmp_path: Path) -> None:
    """The form goes from 0 to 1 in 40 steps: .2 of reward, and nothing else moves."""
    run = written(tmp_path, 45, lambda step: {"reward": 0.1 + 0.2 * min(1, step / 40), "accuracy": 0.1,
                                              "format": min(1, step / 40)})  # fmt: skip
    ill = found(run)["reward without accuracy"]
    assert (ill.setting, ill.value) == ("r1_zero.reward.parts.format", 0.2)
    assert ill.seen == (
        "the reward rose from 0.115 to 0.3 while accuracy went from .100 to .100; format went from 0.075 to 1"
    )


def test_prompts_that_are_all_solved(tmp_path: Path) -> None:
    solved = {"accuracy": 0.99, "reward": 1.2, "flat_group_share": 0.95}
    ills = found(written(tmp_path, 30, lambda step: solved if step > 10 else {}))
    assert set(ills) == {"all groups right"}
    assert (ills["all groups right"].severity, ills["all groups right"].setting) == ("warning", "r1_zero.curriculum.by")


def gate(share: float) -> list[dict[str, Any]]:
    warning = "only 0% of groups have both right and wrong completions"
    return [{"task": "t", "passed": False, "warnings": [warning], "measures": {"accuracy": share}}]


def first_look(problems: int) -> dict[str, Any]:
    return {"step": 0, "task": "t", "split": "dev", "k": 16, "problems": problems, "avg_at_k": 0.01}


def test_a_base_that_the_gate_warned_of(tmp_path: Path) -> None:
    """Told of 384 completions, not of 96; and not once RL has lifted it all the same."""
    weak = found(written(tmp_path / "a", 8, lambda step: {"accuracy": 0.01}, evals=[first_look(24)], gate=gate(0.01)))
    assert set(weak) == {"base too weak"}
    assert (weak["base too weak"].setting, weak["base too weak"].value) == ("model.name", str(tmp_path / "a" / "start"))
    assert weak["base too weak"].seen == (
        "before RL (accuracy: t .010) t: only 0% of groups have both right and wrong completions"
    )
    assert found(written(tmp_path / "b", 8, evals=[first_look(6)], gate=gate(0.01))) == {}
    measures: dict[str, float | None] = {"accuracy": 0.1, "correct_given_claim": 0.43}
    doubted = [{"task": "t", "warnings": _reasoning_warnings(measures, GateConfig(), Claims()), "measures": measures}]
    assert len(doubted[0]["warnings"]) == 1  # wanted: .5; such bases were lifted
    assert found(written(tmp_path / "d", 8, evals=[first_look(24)], gate=doubted)) == {}
    lifted = written(tmp_path / "c", 40, lambda step: {"accuracy": step / 50}, evals=[first_look(24)], gate=gate(0.01))
    assert found(lifted) == {}


def test_a_reward_model_that_is_hacked(tmp_path: Path) -> None:
    """Its score rises by .6 while the gold check falls by .2: twice, which the stage itself stops at."""
    rows = [
        {"step": step, "task": "t", "split": "dev", "k": 4, "problems": 9, "model_reward": score, "avg_at_k": gold}
        for step, score, gold in ((0, 0.1, 0.5), (10, 0.3, 0.6), (20, 0.7, 0.5), (30, 0.9, 0.4))
    ]
    run = written(tmp_path, 30, lambda step: {"preference": step / 30}, evals=rows)
    recipe = run / "recipe.toml"
    table = '[stages.r1_zero]\nroutes = {t = "helpfulness"}\npreference_steps = 30\n'
    recipe.write_text(recipe.read_text().replace("[stages.r1_zero]\n", table))
    ill = found(run)["reward-model hacking"]
    assert ill.since == 10
    assert "since step 10 the model's reward rose from 0.3 to 0.9 while the gold check fell from 0.6 to 0.4" in ill.seen


def test_a_loss_that_rises_again(tmp_path: Path) -> None:
    """Down to 1 by step 20, then up by .1 a step."""

    def metrics(step: int) -> dict[str, Any]:
        return {"reward": None, "loss": 3 - 0.1 * step if step <= 20 else 1 + 0.1 * (step - 20)}

    ill = found(written(tmp_path, 40, metrics))["learning rate too high"]
    assert ill.metric == "loss"
    assert ill.seen == "the loss rose from 1.12 (step 18) to 2.8"


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = written(tmp_path, 10)
    lock = held(run)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2.5e8))
    wrote = (run / "01_r1_zero" / "metrics.jsonl").stat().st_mtime
    assert "0.25 GB are free where the run lies" in found(run, wrote)["disk nearly full"].seen
    os.close(lock)
    assert found(run, wrote) == {}  # nobody needs it now
