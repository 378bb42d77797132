"""PPO on the toy world: it learns, the value model foretells, the KL is paid, a kill loses nothing, two ranks agree."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError
from r1kit.files import strict_lines
from r1kit.loops import rl
from r1kit.loops.ppo import ActorCritic
from r1kit.loops.settings import Schedule
from r1kit.maths.settings import PolicyLoss
from r1kit.recipe import load_recipe
from r1kit.records import Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.stages.ppo import Config
from r1kit.update.critic import Critic
from r1kit.update.local import LearnerSettings
from r1kit.update.settings import OptimiserSettings

from .toy import Toy, policy_of, toy, turns

CONFIG = Config(
    steps=12,
    prompts_per_step=4,
    sampling=Sampling(n=8, max_tokens=6),
    optimiser=OptimiserSettings(kind="adamw", lr=2e-2),
    schedule=Schedule(warmup=0, shape="constant"),
    evaluate_every=100,
    value_lr=2e-2,
)


def train(one: Toy, config: Config = CONFIG, watch: rl.Watch | None = None) -> ActorCritic:
    model = one.learner.flat.model
    engine = LocalEngine(model, CodePoints(), end_ids=[0])  # type: ignore[arg-type]
    policy = policy_of(one.workspace, engine, one.learner, one.scorer, one.evaluator, one.levels)
    critic = Critic(copy.deepcopy(model), LearnerSettings(optimiser=OptimiserSettings(lr=2e-2)), one.workspace.ranks)
    credit = ActorCritic(config, policy, critic)
    rl.train(config, policy, watch=watch, credit=credit)
    return credit


def rows(one: Toy) -> list[dict[str, Any]]:
    return [line.table for line in strict_lines(one.workspace.folder / "metrics.jsonl", "{}")]


@pytest.mark.parametrize("gae_lambda", [1.0, pytest.param(0.95, marks=pytest.mark.slow)])
def test_it_learns_and_the_value_model_foretells(tmp_path: Path, gae_lambda: float) -> None:
    one = toy(tmp_path)
    train(one, replace(CONFIG, steps=25, gae_lambda=gae_lambda, minibatches=2))
    found = rows(one)
    assert found[-1]["reward"] > found[0]["reward"] + 0.4
    assert found[0]["explained_variance"] == pytest.approx(0.0, abs=1e-6)  # the head is 0, so every value is
    assert found[-1]["value_mean"] == pytest.approx(found[-1]["reward"], abs=0.25)
    assert max(row.get("explained_variance", 0.0) for row in found) > 0.2  # all may be right at the end


@pytest.mark.parametrize("loss", [PolicyLoss(), PolicyLoss(kl_weight=0.05, kl_estimator="k1")])
def test_the_policy_stands_still_while_the_value_model_warms_up(loss: PolicyLoss, tmp_path: Path) -> None:
    """The KL to itself does not move it either, whose k1 estimate has a gradient."""
    one = toy(tmp_path)
    before = one.learner.flat.master.clone()
    config = replace(CONFIG, value_warmup=2, loss=loss, minibatches=2)
    train(one, config, watch=lambda step, found: "two steps" if step == 2 else "")
    assert torch.equal(one.learner.flat.master, before)
    assert [row["tokens"] for row in rows(one)] == [0.0, 0.0]
    assert rows(one)[1]["value_mean"] != 0
    again = toy(tmp_path)
    train(again, config, watch=lambda step, found: "a step more" if step == 3 else "")
    assert ("kl" in rows(again)[2]) == bool(loss.kl_weight)
    assert not torch.equal(again.learner.flat.master, before)


@pytest.mark.slow
def test_the_kl_is_paid_in_the_reward(tmp_path: Path) -> None:
    """A heavy one holds the policy where it was; the first step's is 0, as the reference is the policy."""
    free, held = toy(tmp_path / "free"), toy(tmp_path / "held")
    train(free)
    train(held, replace(CONFIG, reward_kl=5.0))
    assert rows(held)[0]["kl_paid"] == pytest.approx(0.0, abs=1e-5)
    assert rows(held)[-1]["reward"] < rows(free)[-1]["reward"] - 0.1
    assert all("kl_paid" not in row for row in rows(free))


def test_two_kls_have_one_reference_that_stands_still_within_a_step(tmp_path: Path) -> None:
    one = toy(tmp_path)
    found = turns(one)
    loss = PolicyLoss(kl_weight=0.05)
    train(one, replace(CONFIG, steps=3, minibatches=4, reference_every=6, reward_kl=0.05, loss=loss))
    assert "".join(found) == "R" + 8 * "u" + "R" + 4 * "u"


def test_killed_in_the_middle_it_ends_the_same(tmp_path: Path) -> None:
    config = replace(CONFIG, reward_kl=0.05, minibatches=2, steps=4)
    whole = toy(tmp_path / "whole")
    train(whole, config)

    class Killed(Exception):
        pass

    def killed(step: int, found: object) -> str:
        if step == 2:
            raise Killed
        return ""

    with pytest.raises(Killed):
        train(toy(tmp_path / "cut"), config, watch=killed)
    again = toy(tmp_path / "cut")
    train(again, config)
    assert torch.equal(whole.learner.flat.master, again.learner.flat.master)
    timed = ("seconds", "sample_seconds", "score_seconds", "update_seconds", "tokens_per_second")
    first, second = (
        [{name: value for name, value in row.items() if name not in timed} for row in rows(one)]
        for one in (whole, again)
    )
    assert first == second


def on_a_rank(ranks: Ranks, folder: Path) -> Any:
    one = toy(folder, ranks)
    train(one, replace(CONFIG, steps=2, reward_kl=0.05))
    return one.learner.flat.master


def test_two_ranks_are_one(tmp_path: Path, on_ranks: Callable[..., list[Any]]) -> None:
    first, second = on_ranks(2, "loops.test_ppo:on_a_rank", tmp_path / "two")
    alone = toy(tmp_path / "one")
    train(alone, replace(CONFIG, steps=2, reward_kl=0.05))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, alone.learner.flat.master, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("gae_lambda=1.5", "from 0 to 1"),
        ("value_lr=0", "value_lr = 0.0 and value_clip = 0.2 must be above 0"),
        ("value_warmup=90", "would not learn"),
        ("reward_kl=-1", "reward_kl"),
    ],
)
def test_settings_are_checked(setting: str, said: str) -> None:
    recipe = load_recipe("nano-zero", ['r1_zero.kind="ppo"', f"r1_zero.{setting}"])
    with pytest.raises(InputError, match=said):
        recipe.stages["r1_zero"].check("r1_zero", recipe)
