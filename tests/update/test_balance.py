"""Experts' loads, biases and balance loss, and the loss of the token after the next, against numbers worked out by hand
and against whole logits."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model.decoder import Decoder
from r1kit.model.routes import Routes, sequence_balance
from r1kit.model.segments import Segments
from r1kit.update.balance import max_violation, moved
from r1kit.update.learner import Batch
from r1kit.update.local import LocalLearner
from r1kit.update.pack import build, units
from r1kit.update.settings import ExpertSettings, OptimiserSettings

from .ranked_sharded import DEEPSEEK
from .test_local import decoder, documents, rollouts, settings
from .test_ranks import Shared, ThreadRanks

AHEAD = replace(DEEPSEEK, ahead=1)
EXPERTS = ExpertSettings(bias_speed=0.25, balance=0.5)
BIAS = "blocks.1.experts.router_bias"


def test_biases_rise_for_idle_experts_and_fall_for_busy_ones() -> None:
    """4, 2 and 0 tokens: the mean is 2, and the busiest has twice as much."""
    assert moved(torch.tensor([4.0, 2.0, 0.0]), 0.5).tolist() == [-0.5, 0.0, 0.5]
    assert max_violation(torch.tensor([4.0, 2.0, 0.0])) == 1.0
    assert max_violation(torch.tensor([2.0, 2.0])) == max_violation(torch.zeros(2)) == 0.0


def test_the_balance_loss_of_two_tokens() -> None:
    """Both choose expert 0, so f = (2, 0); its shares are 3/4 and 1/2, so P_0 = 5/8 and the loss is 5/4.

    By the first token's score of expert 0: f_0 / T times .2 / .8^2.
    """
    scores = torch.tensor([[0.6, 0.2], [0.3, 0.3 - 1e-7]], requires_grad=True)
    loss = sequence_balance(scores, 1, ((2,), (-1,)))
    assert loss.item() == pytest.approx(1.25)
    loss.backward()
    assert scores.grad is not None
    assert float(scores.grad[0, 0]) == pytest.approx(2 / 2 * 0.2 / 0.64)
    even = torch.tensor([[0.6, 0.2], [0.2, 0.6]])
    assert float(sequence_balance(even, 1, ((2,), (-1,)))) == pytest.approx(1.0)


def test_a_sequence_is_a_prompt_and_its_completion() -> None:
    """Packed behind one prompt, two completions count as they do with a prompt each; a document beside them too."""
    scores = torch.rand(12, 4, generator=torch.Generator().manual_seed(0))
    prompt, first, second, document = scores.split([3, 4, 2, 3])
    packed = sequence_balance(scores, 2, ((3, 4, 2, 3), (-1, 0, 0, -1)))
    alone = [torch.cat([prompt, first]), torch.cat([prompt, second]), document]
    expected = sum(float(sequence_balance(one, 2, ((len(one),), (-1,)))) for one in alone)
    assert float(packed) == pytest.approx(expected, rel=1e-6)


def bias(learner: LocalLearner) -> Tensor:
    return dict(learner.flat.model.named_parameters())[BIAS].detach().clone()


def loads(model: Decoder, batch: Batch) -> Tensor:
    """[E] of the one layer with experts, over every row's inputs."""
    routes = Routes()
    micro = build(batch, units(batch, range(len(batch.rows)), 10_000)).watched(routes)
    with torch.no_grad():
        model.hidden(micro.segments)
    return routes.counts[1].float()


def test_an_update_moves_every_bias_by_the_speed_against_its_load(tmp_path: Path) -> None:
    """Whatever the optimiser does; what it moves is saved, read again and exported."""
    batch, model = documents(), decoder(DEEPSEEK)
    counts = loads(model, batch)
    learner = LocalLearner(model, settings(experts=EXPERTS))
    metrics = learner.update(batch, supervised_loss, 1e-2)
    assert torch.equal(bias(learner), 0.25 * torch.sign(counts.mean() - counts))
    assert bias(learner).any()
    assert metrics["max_violation_layer1"] == metrics["max_violation"] == max_violation(counts)
    assert 0.5 < metrics["balance_loss"] < 2.0
    learner.save(tmp_path / "state")
    again = LocalLearner(decoder(DEEPSEEK, seed=5), settings(experts=EXPERTS))
    again.load(tmp_path / "state")
    for one in (learner, again):
        one.update(documents(seed=1), supervised_loss, 1e-2)
    assert torch.equal(again.flat.master, learner.flat.master)
    exported = learner.flat.model.hub_weights()["model.layers.1.mlp.gate.e_score_correction_bias"]
    assert torch.equal(exported, bias(learner))


def test_without_a_speed_the_biases_stay_and_loads_are_told() -> None:
    learner = LocalLearner(decoder(DEEPSEEK), settings())
    metrics = learner.update(rollouts(), supervised_loss, 1e-2)
    assert not bias(learner).any()
    assert metrics["max_violation"] > 0
    assert "balance_loss" not in metrics
    assert "max_violation" not in LocalLearner(decoder(), settings()).update(rollouts(), supervised_loss, 0.0)


def test_ranks_count_together() -> None:
    """Each has its own documents; biases move as on one rank that has both, and the balance loss is the same."""
    first, second = documents(), documents(seed=1)
    whole = LocalLearner(decoder(DEEPSEEK), settings(experts=EXPERTS))
    both = Batch(prompts=(), rows=[*first.rows, *second.rows])
    expected = whole.update(both, supervised_loss, 0.0)
    shared = Shared(2)
    found: dict[int, Any] = {}

    def play(rank: int, batch: Batch) -> None:
        learner = LocalLearner(decoder(DEEPSEEK), settings(experts=EXPERTS), ThreadRanks(shared, rank))  # type: ignore[arg-type]
        found[rank] = learner.update(replace(batch, sharded=True), supervised_loss, 0.0), learner

    threads = [threading.Thread(target=play, args=item) for item in ((0, first), (1, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for metrics, learner in found.values():
        assert metrics["max_violation"] == expected["max_violation"]
        assert metrics["balance_loss"] == pytest.approx(expected["balance_loss"], rel=1e-5)
        assert torch.equal(bias(learner), bias(whole))
        torch.testing.assert_close(learner.flat.grad, whole.flat.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", [DEEPSEEK, AHEAD], ids=["balance", "and a token further"])
def test_the_gradient_is_that_of_whole_logits(config: Any) -> None:
    """Cross-entropy, the balance loss of every layer a sequence, and 0.3 times the loss of the token after the next."""
    batch = documents()
    learner = LocalLearner(decoder(config), settings(experts=replace(EXPERTS, bias_speed=0.0), further=0.3))
    metrics = learner.update(batch, supervised_loss, 0.0)
    model = decoder(config)
    further, count = 0.0, 0
    for row in batch.rows:
        routes = Routes(weight=EXPERTS.balance / len(batch.rows))
        segments = replace(Segments.pack([row.tokens[:-1]]), routes=routes)
        hidden = model.hidden(segments)
        weights = row.weight if isinstance(row.weight, Tensor) else torch.full((len(row.tokens),), row.weight)
        losses = -logprobs(hidden, model, row.tokens[1:]) * weights[1:]
        if model.ahead is not None:
            made = model.further(hidden, model.embedding(row.tokens[1:]), segments)
            ahead = -logprobs(made[:-1], model, row.tokens[2:])
            further, count = further + ahead.sum().item(), count + len(ahead)
            losses = torch.cat([losses, 0.3 * ahead * weights[2:]])
        losses.sum().backward()
    for name, grad in learner.flat.views(learner.flat.grad):
        wanted = dict(model.named_parameters())[name].grad
        torch.testing.assert_close(grad, torch.zeros_like(grad) if wanted is None else wanted, rtol=1e-4, atol=2e-6)
    if model.ahead is not None:
        assert metrics["further_loss"] == pytest.approx(further / count, rel=1e-5)
    else:
        assert "further_loss" not in metrics
    assert "further_tokens" not in metrics


def test_kept_in_rl_the_further_layer_alone_learns_from_responses() -> None:
    """Its gradient is that of each row with its prompt, whole; every other weight's is as without it."""
    batch = rollouts()
    without, kept = (
        LocalLearner(decoder(AHEAD), settings(optimiser=OptimiserSettings(max_grad_norm=0.0, keep_mtp=weight)))
        for weight in (0.0, 0.5)
    )
    plain, metrics = (learner.update(batch, supervised_loss, 0.0) for learner in (without, kept))
    model, further, count = decoder(AHEAD), 0.0, 0
    for row in batch.rows:
        if not row.advantage:
            continue
        prompt = batch.prompts[row.prompt]
        tokens = torch.cat([prompt, row.tokens])
        segments = Segments.pack([tokens[:-1]])
        hidden, following = model.hidden(segments).detach(), model.embedding(tokens[1:]).detach()
        first = len(prompt) - 2  # reads the prompt's last two tokens and names the response's first
        losses = -logprobs(model.further(hidden, following, segments)[first:-1], model, tokens[2 + first :])
        weights = torch.as_tensor(row.weight).expand(len(row.tokens))
        (0.5 * losses * weights).sum().backward()
        further, count = further + losses.sum().item(), count + len(losses)
    wanted = dict(model.named_parameters())
    old = dict(without.flat.views(without.flat.grad))
    for name, grad in kept.flat.views(kept.flat.grad):
        if name.startswith("ahead."):
            expected = wanted[name].grad
            expected = torch.zeros_like(grad) if expected is None else expected
            torch.testing.assert_close(grad, expected, rtol=1e-4, atol=2e-6)
            assert not old[name].any()
        else:
            assert torch.equal(grad, old[name]), name
    assert metrics["further_loss"] == pytest.approx(further / count, rel=1e-5)
    told = ("loss", "entropy", "tokens")
    assert [metrics[name] for name in told] == [plain[name] for name in told]


def logprobs(hidden: Tensor, model: Decoder, targets: Tensor) -> Tensor:
    return (hidden @ model.head.t()).log_softmax(-1).gather(1, targets[:, None])[:, 0]


def test_settings_below_zero_are_refused() -> None:
    with pytest.raises(InputError, match="must not be negative"):
        ExpertSettings(bias_speed=-0.1)
