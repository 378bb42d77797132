"""An advantage and a loss of a user's own: values by hand, what they may ask for and give, ours written again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.checks import check_recipe
from r1kit.depends import depends_on
from r1kit.errors import InputError, R1Error
from r1kit.loops.own import OwnAdvantage, loss_of
from r1kit.loops.own_trial import attempt, trials_of, try_losses
from r1kit.maths.loss_terms import LossTerms
from r1kit.maths.settings import PolicyLoss
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group, Prompt, Score

from .toy import CONFIG, toy

MINE = """
import numpy as np
import torch
import r1kit

def leave_one_out(rewards):
    return [reward - (sum(rewards) - reward) / (len(rewards) - 1) for reward in rewards]

def fading(rewards, group, scores, step=0, other=7):
    assert scores[0].parts == {"accuracy": 1.0} and group.prompt.question == "q" and step == 3
    return [np.full(len(one.token_ids), reward) if number else reward
            for number, (reward, one) in enumerate(zip(rewards, group.completions))]

def ours(rewards):
    return r1kit.group_relative(torch.tensor(rewards, dtype=torch.float64), "none")

def again(terms, settings):
    return r1kit.policy_loss(r1kit.PolicyLoss(clip_high=settings.clip_high))(terms)

def reinforce(terms, settings):
    return -terms.advantages * terms.logprobs, {"weight": terms.advantages}

def asks(rewards, answers): return rewards
def short(rewards): return rewards[1:]
def short_tokens(rewards): return [[1.0], [2.0]]
def not_one(rewards): return [True, float("nan")]
def a_number(rewards): return 1.0
def divides(rewards): return [reward / sum(rewards) for reward in rewards]
def summed(terms, settings): return terms.logprobs.sum()
def cut_off(terms, settings): return -terms.logprobs.detach()
def one(terms): return terms.logprobs
def unnamed(rewards, /): return rewards
async def later(rewards): return rewards
def endless(rewards): return [10**400, 1e39]
def beside(terms, settings, /): return terms.logprobs, None
"""
GROUP = Group(
    prompt=Prompt(id="p", task="t", question="q"),
    prompt_ids=(1,),
    completions=tuple(Completion(token_ids=(1,) * n, logprobs=(), text="", finish="stop") for n in (2, 3)),
)
SCORES = [Score(total=1.0, parts={"accuracy": 1.0}), Score(total=0.0, parts={"accuracy": 0.0})]
TERMS = LossTerms(
    logprobs=torch.tensor([-1.0, -2.0, -3.0]),
    old_logprobs=torch.tensor([-1.0, -2.0, -2.0]),
    sampler_logprobs=None,
    reference_logprobs=None,
    advantages=torch.tensor([0.5, 0.5, -2.0]),
    row_ids=torch.tensor([0, 0, 1]),
)


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str], str]:
    (tmp_path / "mine.py").write_text(MINE)
    return lambda name: f"{tmp_path}/mine.py:{name}"


def test_values_by_hand(mine: Callable[[str], str]) -> None:
    """Of 1, 0, 0, 1 the others' means are 1/3, 2/3, 2/3, 1/3."""
    four = replace(GROUP, completions=GROUP.completions * 2)
    found: Any = OwnAdvantage(mine("leave_one_out"))(four, [Score(total=total) for total in (1.0, 0.0, 0.0, 1.0)], 0)
    torch.testing.assert_close(found, torch.tensor([2 / 3, -2 / 3, -2 / 3, 2 / 3]))
    first, second = OwnAdvantage(mine("fading"))(GROUP, SCORES, 3)
    assert (first.tolist(), second.tolist()) == ([1.0, 1.0], [0.0, 0.0, 0.0])
    loss, logged = loss_of(PolicyLoss(function=mine("reinforce")))(TERMS)
    assert (loss.tolist(), logged["weight"].tolist()) == ([0.5, 1.0, -6.0], [0.5, 0.5, -2.0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("asks", "mine.py:asks asks for 'answers'; an advantage may ask for rewards, group, scores, step."),
        ("short", "mine.py:short gave 1 advantages for 2 completions; give each one"),
        ("short_tokens", "mine.py:short_tokens gave 1 advantages for 2 tokens; give each one"),
        ("not_one", "mine.py:not_one gave 'True'; an advantage is a finite number"),
        ("a_number", "mine.py:a_number gave a float; an advantage is a list, a number a completion"),
        ("unnamed", "mine.py:unnamed takes 'rewards' without its name; drop the / from its parameters"),
        ("later", "mine.py:later is async; write a plain function f(rewards)"),
        ("endless", f"mine.py:endless gave '1{'0' * 59}'; an advantage is a finite number"),
        ("lev_one_out", "has no 'lev_one_out'. Did you mean 'leave_one_out'?"),
    ],
)
def test_what_is_no_advantage_is_one_line(mine: Callable[[str], str], name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        OwnAdvantage(mine(name))(GROUP, SCORES, 0)
    assert str(caught.value).endswith(said)


def test_a_function_that_does_not_say_its_parameters_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^math:hypot does not say its parameters; write f\(rewards\)$"):
        OwnAdvantage("math:hypot")


def test_ours_written_again_learns_the_same_bits(tmp_path: Path, mine: Callable[[str], str]) -> None:
    """Two minibatches, so that the second is off policy and clipped."""
    config = replace(CONFIG, steps=3, minibatches=2)
    given = replace(config, loss=PolicyLoss(advantage=mine("ours"), function=mine("again")))
    plain, own = toy(tmp_path / "plain"), toy(tmp_path / "own")
    plain.train(config)
    own.train(given)
    assert torch.equal(own.learner.flat.master, plain.learner.flat.master)
    other = toy(tmp_path / "other")
    other.train(replace(config, loss=PolicyLoss(advantage=mine("leave_one_out"))))
    assert not torch.equal(other.learner.flat.master, plain.learner.flat.master)


@pytest.mark.parametrize(
    ("key", "name", "said"),
    [
        (
            "advantage",
            "divides",
            "stages.r1_zero.loss.advantage: mine.py:28: ZeroDivisionError: float division by zero",
        ),
        ("advantage", "short", "stages.r1_zero.loss.advantage: mine.py:short gave 15 advantages for 16 completions"),
        ("advantage", "", "stages.r1_zero.loss.advantage: advantage 'group_relativ' is unknown; known are group_rel"),
        ("function", "summed", "stages.r1_zero.loss.function: mine.py:summed gave a loss of torch.Size([])"),
        ("function", "cut_off", "stages.r1_zero.loss.function: mine.py:cut_off: its loss has no gradient"),
        (
            "function",
            "beside",
            "stages.r1_zero.loss.function: mine.py:beside gave a NoneType beside its loss; give ten",
        ),
        ("function", "one", "stages.r1_zero.loss.function: mine.py:one is not a loss: write f(terms, settings)"),
    ],
)
def test_check_tries_them(mine: Callable[[str], str], key: str, name: str, said: str) -> None:
    recipe = load_recipe("nano-zero", [f"r1_zero.loss.{key}={mine(name) if name else 'group_relativ'}"])
    with pytest.raises(R1Error) as caught:
        attempt(list(trials_of(recipe)), lambda doing, seconds: None)
    assert str(caught.value).startswith(said)


def test_check_tries_them_in_a_process_of_its_own(mine: Callable[[str], str]) -> None:
    good = [f"r1_zero.loss.advantage={mine('leave_one_out')}", f"r1_zero.loss.function={mine('again')}"]
    try_losses(load_recipe("nano-zero", good))
    with pytest.raises(InputError, match=r"stages.r1_zero.loss.advantage: mine.py:28: ZeroDivisionError"):
        check_recipe(load_recipe("nano-zero", [f"r1_zero.loss.advantage={mine('divides')}"]))


def test_its_file_decides_and_a_recipe_without_one_keeps_its_key(mine: Callable[[str], str]) -> None:
    assert not {"advantage", "function"} & set(depends_on(load_recipe("nano-zero"), "pretrain", {})["settings"])
    keys = {"pretrain": "k"}
    plain = depends_on(load_recipe("nano-zero"), "r1_zero", keys)
    assert plain["settings"]["loss"].keys().isdisjoint({"advantage", "function"})
    own = depends_on(load_recipe("nano-zero", [f"r1_zero.loss.advantage={mine('ours')}"]), "r1_zero", keys)
    assert list(own["code"]) == ["mine.py"]


@pytest.mark.parametrize(
    ("kind", "setting", "said"),
    [
        ("ppo", "", "PPO's advantage comes from its value model"),
        ("prm", "rl.", "process rewards have one of their own"),
    ],
)
def test_refused_where_no_advantage_is_taken_over_a_group(
    tmp_path: Path, mine: Callable[[str], str], kind: str, setting: str, said: str
) -> None:
    path = tmp_path / "one.toml"
    path.write_text(
        f"[tasks.countdown]\n[stages.pretrain]\n[stages.other]\nkind = '{kind}'\nstart = 'pretrain'\n"
        f"{setting}loss.advantage = '{mine('ours')}'\n"
    )
    recipe = load_recipe(str(path))
    with pytest.raises(InputError, match=said):
        recipe.stages["other"].check("other", recipe)
