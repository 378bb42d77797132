"""Training a reward model: it learns what was planted and nothing it cannot see, goes on bit for bit, on any ranks."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.errors import InputError
from r1kit.loops import preference
from r1kit.loops.settings import Schedule
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import save_model
from r1kit.model.reward_model import Outlook, RewardModel
from r1kit.recipe import load_recipe
from r1kit.records import Labelled, Pair, Prompt
from r1kit.seeds import place_in_epochs
from r1kit.text.seen import Sees
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.reward import Item, RewardLearner, judged
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

WORDS = ["User:", "Assistant:", *"abcdefghijklmnop"]
GOOD, BAD = "a", "b"
"""What is planted: good responses hold the one, bad ones the other, somewhere among other words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    epochs: float = 4.0
    batch: int = 32
    max_tokens: int = 64
    log_every: int = 1
    micro_batch_tokens: int = 4096
    optimiser: OptimiserSettings = field(default_factory=lambda: OptimiserSettings(lr=1e-2, weight_decay=0.01))
    schedule: Schedule = field(default_factory=lambda: Schedule(warmup=2, shape="cosine", floor=0.1))


CONFIG = Config()


def save_policy(folder: Path) -> Path:
    tokenizer = build_tokenizer(WORDS)
    shape = DecoderConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_layers=1,
        num_heads=2,
        num_kv_heads=2,
        head_dim=8,
    )
    model = Decoder(shape)
    model.initialise(torch.Generator().manual_seed(3))
    save_model(folder, model, tokenizer)
    return folder


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy") / "checkpoint")


def words(draw: random.Random, planted: str) -> str:
    others = draw.choices(WORDS[4:], k=draw.randint(1, 6))
    others.insert(draw.randint(0, len(others)), planted)
    return " ".join(others)


def pairs(count: int, seed: int, where: str = "summary") -> list[Pair]:
    """The word is planted in the summary, or in the thinking only."""
    draw, made = random.Random(seed), []
    for index in range(count):
        good, bad = words(draw, GOOD), words(draw, BAD)
        other = words(draw, draw.choice("ab"))
        if where == "summary":
            texts = [f"<think> {other} </think> <answer> {text} </answer>" for text in (good, bad)]
        else:
            texts = [f"<think> {text} </think> <answer> {other} </answer>" for text in (good, bad)]
        prompt = Prompt(id=str(index), task="", question=" ".join(draw.choices(WORDS[4:], k=3)), cluster=str(index))
        made.append(Pair(prompt=prompt, chosen=texts[0], rejected=texts[1], fault=BAD))
    return made


def labels(count: int, seed: int, where: str) -> list[Labelled]:
    draw = random.Random(seed)
    sides = [(pair, draw.random() < 0.5) for pair in pairs(count, seed, where)]
    return [
        Labelled(prompt=pair.prompt, response=pair.chosen if safe else pair.rejected, safe=safe) for pair, safe in sides
    ]


def place(folder: Path, ranks: Ranks | None = None) -> Workspace:
    workspace = Workspace(
        run=folder, stage="reward_models", index=3, recipe=load_recipe("nano-zero"), ranks=ranks or Solo(), key="k"
    )
    workspace.folder.mkdir(parents=True, exist_ok=True)
    return workspace


def trained(policy: Path, sees: Sees, examples: Any, workspace: Workspace, config: Config = CONFIG) -> RewardModel:
    model = RewardModel.create(policy, Outlook(sees=sees))
    preference.train(config, "helpfulness", model, examples, workspace)
    return model


def lines(workspace: Workspace) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (workspace.folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "tokens_per_second")} for line in found]


# ---- learning -----------------------------------------------------------------------------------------------------


def test_a_planted_rule_is_learnt_and_ranks_held_out_pairs(policy: Path, tmp_path: Path) -> None:
    workspace = place(tmp_path)
    model = trained(policy, "summary", pairs(400, seed=1), workspace)
    found = preference.held_out(model, pairs(200, seed=2), workspace, 4096)
    assert found["accuracy"] > 0.9
    assert found["interval"][0] > 0.85
    assert found["calibration_error"] < 0.15
    assert (found["held_out"], found["clusters"]) == (200, 200)
    assert found["by_fault"] == {BAD: {"accuracy": found["accuracy"], "count": 200}}
    told = lines(workspace)
    assert [line["step"] for line in told] == list(range(1, 51))  # 4 epochs of 400 in batches of 32
    assert {line["model"] for line in told} == {"helpfulness"}
    assert told[0]["loss"] == pytest.approx(math.log(2))
    assert told[-1]["loss"] < 0.2
    assert told[-1]["lr"] == pytest.approx(1e-3)
    assert workspace.cost["trained_tokens"] == sum(line["tokens"] for line in told)
    read = sum(len(row) for item in preference.items_of(model, pairs(200, seed=2)) for row in item.rows)
    size = sum(weight.numel() for weight in model.model.parameters())
    assert workspace.cost["read_tokens"] == read
    assert workspace.cost["evaluation_flops"] == 2 * size * read


@pytest.mark.slow
def test_a_helpfulness_model_cannot_learn_from_the_thinking_and_a_safety_model_does(
    policy: Path, tmp_path: Path
) -> None:
    thought = pairs(400, seed=1, where="thinking")
    blind = trained(policy, "summary", thought, place(tmp_path / "blind"))
    assert preference.held_out(blind, pairs(100, 2, "thinking"), place(tmp_path), 4096)["accuracy"] == 0.5  # all tied
    safety = trained(
        policy, "response", labels(600, 1, "thinking"), place(tmp_path / "safety"), replace(CONFIG, epochs=6)
    )
    found = preference.held_out(safety, labels(200, 2, "thinking"), place(tmp_path), 4096)
    assert found["accuracy"] > 0.9
    assert found["calibration_error"] < 0.15


def test_longer_examples_are_left_out_of_training(policy: Path, tmp_path: Path) -> None:
    some = pairs(40, seed=1)
    model = RewardModel.create(policy, Outlook(sees="summary"))
    longest = max(len(row) for item in preference.items_of(model, some) for row in item.rows)
    short = [i for i in preference.items_of(model, some) if max(map(len, i.rows)) < longest]
    told: list[str] = []
    workspace = replace(place(tmp_path), say=told.append)
    trained(policy, "summary", some, workspace, replace(CONFIG, epochs=1, batch=100, max_tokens=longest - 1))
    assert 0 < len(short) < 40
    gone = 40 - len(short)
    line = f"reward_models: helpfulness: to train on, {gone} of 40 examples pass {longest - 1} tokens: left out"
    assert told == [line]
    assert [line["tokens"] for line in lines(workspace)] == [sum(len(row) for item in short for row in item.rows)]
    with pytest.raises(InputError, match="helpfulness: all 40 examples are longer than 3 tokens, the smaller of"):
        trained(policy, "summary", some, place(tmp_path / "none"), replace(CONFIG, max_tokens=3))


def test_epochs_of_less_than_one_example_say_that_nothing_is_learnt(policy: Path, tmp_path: Path) -> None:
    told: list[str] = []
    workspace = replace(place(tmp_path), say=told.append)
    trained(policy, "summary", pairs(40, seed=1), workspace, replace(CONFIG, epochs=0.01))
    line = "reward_models: helpfulness learns from no example: epochs = 0.01 of 40 is less than one; raise it"
    assert told == [f"warning: {line}"]
    assert preference.examples_seen(0.02, 40, "round-1/value", workspace) == 1
    assert preference.examples_seen(1.0, 0, "round-1/value", workspace) == 0
    assert told[1:] == ["warning: reward_models: round-1/value learns from no example: there are none"]


def test_held_out_examples_that_the_model_has_no_positions_for_are_left_out(policy: Path, tmp_path: Path) -> None:
    model = RewardModel.create(policy, Outlook(sees="summary"))
    some = pairs(20, seed=1)
    lengths = sorted(max(map(len, item.rows)) for item in preference.items_of(model, some))
    model.model.config.max_position_embeddings = lengths[-1] - 1
    told: list[str] = []
    found = preference.held_out(model, some, replace(place(tmp_path), say=told.append), 4096)
    assert found["held_out"] == sum(length < lengths[-1] for length in lengths) > 0
    assert "held out, " in told[0]
    model.model.config.max_position_embeddings = 2
    with pytest.raises(InputError, match="all 20 held-out examples pass the model's 2 positions"):
        preference.held_out(model, some, place(tmp_path), 4096)


# ---- one update ---------------------------------------------------------------------------------------------------


def headed(policy: Path) -> RewardModel:
    """With a head that is not zero, so that the body has a gradient."""
    model = RewardModel.create(policy, Outlook(sees="summary"))
    torch.nn.init.constant_(model.model.get_parameter("score.weight")[:, ::2], 0.1)
    return model


def learner(policy: Path, budget: int = 4096, **settings: Any) -> tuple[RewardLearner, list[Item]]:
    model = headed(policy)
    return RewardLearner(model, OptimiserSettings(**settings), Solo(), budget), preference.items_of(model, pairs(24, 1))


def test_losses_of_items_by_hand() -> None:
    both = [Item(rows=((1,), (2,))), Item(rows=((1,), (2,)))]
    loss, right, margin = judged(both, torch.tensor([math.log(3), 0.0, 0.0, math.log(3)]))
    assert loss.tolist() == pytest.approx([math.log(4 / 3), math.log(4)])
    assert right.tolist() == [True, False]
    assert margin.tolist() == pytest.approx([math.log(3), -math.log(3)])
    safe = [Item(rows=((1,),), label=1.0), Item(rows=((1,),), label=0.0)]
    loss, right, _ = judged(safe, torch.tensor([math.log(3), math.log(3)]))
    assert loss.tolist() == pytest.approx([math.log(4 / 3), math.log(4)])
    assert right.tolist() == [True, False]


def test_micro_batches_and_order_change_neither_gradient_nor_metrics(policy: Path) -> None:
    one, items = learner(policy)
    many, _ = learner(policy, budget=40)
    expected = one.update(items, 24, lr=0.0)
    found = many.update(items[::-1], 24, lr=0.0)
    assert found == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(one.grad, many.grad, atol=1e-6)
    assert float(one.grad.abs().max()) > 1e-4


def test_the_gradient_is_that_of_the_mean_loss(policy: Path) -> None:
    one, items = learner(policy, max_grad_norm=0.0)
    one.update(items, 24, lr=0.0)
    model = headed(policy)
    scores = torch.stack([model.forward([row])[0] for item in items for row in item.rows]).view(-1, 2)
    loss = torch.log1p(torch.exp(scores[:, 1] - scores[:, 0])).mean()
    expected = torch.autograd.grad(loss, [w for w in model.model.parameters() if w.requires_grad])
    assert torch.allclose(one.grad, torch.cat([piece.flatten() for piece in expected]), atol=1e-6)


def test_a_long_gradient_is_cut(policy: Path) -> None:
    one, items = learner(policy, max_grad_norm=1e-3)
    assert one.update(items, 24, lr=0.0)["grad_norm"] > 1e-3
    assert float(torch.linalg.vector_norm(one.grad)) == pytest.approx(1e-3, rel=1e-4)


# ---- going on -----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def weights_of(model: RewardModel) -> list[torch.Tensor]:
    return [weight.detach() for weight in model.model.parameters()]


def test_killed_and_gone_on_equals_straight(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, some = replace(CONFIG, epochs=2), pairs(100, seed=1)  # 7 steps
    straight = trained(policy, "summary", some, place(tmp_path / "straight"), config)
    update = RewardLearner.update
    for at in (1, 4, 6):
        done = [0]

        def dies(self: RewardLearner, *arguments: Any, at: int = at, done: list[int] = done, **more: Any) -> Any:
            if self.adamw.state and next(iter(self.adamw.state.values()))["step"] == at:
                raise Killed
            return update(self, *arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr(RewardLearner, "update", dies)
            with pytest.raises(Killed):
                trained(policy, "summary", some, place(tmp_path / "killed"), config)
    last = trained(policy, "summary", some, place(tmp_path / "killed"), config)
    assert lines(place(tmp_path / "killed")) == lines(place(tmp_path / "straight"))
    for one, other in zip(weights_of(last), weights_of(straight), strict=True):
        assert torch.equal(one, other)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    epochs = [[place_in_epochs(epoch * 10 + at, 10, seed=5) for at in range(10)] for epoch in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.slow
def test_ranks_share_a_batch(policy: Path, tmp_path: Path, on_ranks: Any) -> None:
    config, some = replace(CONFIG, epochs=1), pairs(50, seed=1)
    alone = trained(policy, "summary", some, place(tmp_path / "alone"), config)
    held = preference.held_out(alone, pairs(20, seed=2), place(tmp_path), 4096)
    found = on_ranks(2, "loops.ranked_preference:train_pairs", str(policy), str(tmp_path / "ranks"), config)
    for weights, judged_held in found:
        for one, first, other in zip(weights, found[0][0], weights_of(alone), strict=True):
            assert torch.equal(one, first)
            assert torch.allclose(one, other, atol=2e-4)
        assert judged_held == found[0][1]
        assert judged_held["score_mean"] == pytest.approx(held["score_mean"], abs=2e-3)
    mine = [{k: v for k, v in line.items() if k != "grad_norm"} for line in lines(place(tmp_path / "ranks"))]
    for line, other in zip(mine, lines(place(tmp_path / "alone")), strict=True):
        assert (line["step"], line["tokens"]) == (other["step"], other["tokens"])
        assert line["loss"] == pytest.approx(other["loss"], abs=1e-4)


# ---- what is held out ---------------------------------------------------------------------------------------------


def test_numbers_of_what_is_held_out_by_hand() -> None:
    prompts = [Prompt(id=c, task="", question=c, cluster=c) for c in "aab"]
    three = [Item(rows=((1,), (2,)))] * 3
    found = preference.summed_up(three, [[math.log(3), 0], [0, math.log(3)], [1, 1]], prompts, ["x", "y", "x"])
    assert found["accuracy"] == 0.5  # right, wrong, a tie
    assert found["by_fault"] == {"x": {"accuracy": 0.75, "count": 2}, "y": {"accuracy": 0.0, "count": 1}}
    assert found["calibration_error"] == pytest.approx((2 * 0.25 + 0.5) / 3)  # .75 where half, .5 where none came true
    assert found["score_mean"] == pytest.approx((2 * math.log(3) + 2) / 6)
    assert (found["held_out"], found["clusters"]) == (3, 2)
    labelled = [Item(rows=((1,),), label=1.0), Item(rows=((1,),), label=0.0)]
    found = preference.summed_up(labelled, [[math.log(3)], [math.log(3)]], prompts[1:], ["", ""])
    assert (found["accuracy"], found["by_fault"]) == (0.5, {})
    assert found["calibration_error"] == pytest.approx(0.25)
