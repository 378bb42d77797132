"""Drafts change how often the model runs and nothing that it says."""

from __future__ import annotations

import pytest
import torch
from test_engines import PROMPTS, SEEDS, VOCAB, Words

from r1kit.errors import InputError
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model.decoder import Decoder
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.session import Session
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner

LIMITS = [40] * 6 + [7, 1, 40, 8, 2, 39]


@pytest.fixture(scope="module")
def model() -> Decoder:
    """A few updates on counting, so that drafts often hit and often do not."""
    shape = DeepseekShape(hidden_size=32, intermediate_size=48, num_layers=2, moe_intermediate_size=24, mtp_layers=1)
    made: Decoder = family("deepseek_v3").fresh(shape, VOCAB)  # type: ignore[assignment]
    made.initialise(torch.Generator().manual_seed(1))
    learner = LocalLearner(made, LearnerSettings(further=1.0))
    for step in range(14):
        runs = [torch.arange(step * 7 + i * 13, step * 7 + i * 13 + 20) % (VOCAB - 2) + 2 for i in range(8)]
        learner.update(
            Batch(prompts=(), rows=[Row(prompt=-1, tokens=run, weight=1 / 160) for run in runs]), supervised_loss, 1e-2
        )
    return made


def generate(model: Decoder, sampling: Sampling, *, draft: bool, max_rows: int) -> tuple[list[Completion], list[int]]:
    engine = LocalEngine(model, Words(), max_rows=max_rows, draft=draft)
    found = engine.generate(PROMPTS, sampling, SEEDS, LIMITS)
    return [one for group in found for one in group], engine.drafts


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (1.0, 1.0), (0.7, 0.8)])
@pytest.mark.parametrize("max_rows", [4, 64])
def test_the_completions_are_those_without_drafts(
    model: Decoder, temperature: float, top_p: float, max_rows: int
) -> None:
    """Prompts of one token and more, rows that end and others that come in, limits of 1, 2 and an odd number."""
    sampling = Sampling(n=3, max_tokens=40, temperature=temperature, top_p=top_p, stop=("w9",))
    plain, none = generate(model, sampling, draft=False, max_rows=max_rows)
    drafted, (made, hit) = generate(model, sampling, draft=True, max_rows=max_rows)
    for one, other in zip(plain, drafted, strict=True):
        assert (one.token_ids, one.text, one.finish) == (other.token_ids, other.text, other.finish)
        torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(other.logprobs), rtol=0, atol=2e-5)
    tokens = sum(len(one.token_ids) for one in plain)
    assert none == [0, 0]
    assert 0.1 * made < hit < made < tokens


def test_new_weights_draft_too(model: Decoder) -> None:
    other: Decoder = family("deepseek_v3").fresh(
        DeepseekShape(hidden_size=32, intermediate_size=48, num_layers=2, moe_intermediate_size=24, mtp_layers=1), VOCAB
    )  # type: ignore[assignment]
    other.initialise(torch.Generator().manual_seed(9))
    sampling = Sampling(n=2, max_tokens=20)
    engines = [LocalEngine(first, Words(), draft=draft) for first, draft in ((model, True), (other, False))]
    engines[0].load_weights(NamedWeights(other.hub_weights()), 1)
    found = [[one.token_ids for group in each.generate(PROMPTS, sampling, SEEDS) for one in group] for each in engines]
    assert found[0] == found[1]


def test_an_open_engine_goes_without_drafts(model: Decoder) -> None:
    sampling = Sampling(n=2, max_tokens=12)
    engine = LocalEngine(model, Words(), draft=True)
    told: list[Completion] = []
    session = Session(engine)
    session.add(PROMPTS[0], sampling, SEEDS[0], told.extend)
    while session.advance():
        pass
    closed = engine.generate(PROMPTS[:1], sampling, SEEDS[:1])[0]
    assert [one.token_ids for one in told] == [one.token_ids for one in closed]


def test_a_model_without_the_layer_is_told() -> None:
    bare: Decoder = family("deepseek_v3").fresh(DeepseekShape(), VOCAB)  # type: ignore[assignment]
    bare.initialise(torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match="draft is for a model with a layer that predicts a token further"):
        LocalEngine(bare, Words(), draft=True)
