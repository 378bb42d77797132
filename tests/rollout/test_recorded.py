"""Routing replay: the engine tells which experts each token chose, and the learner takes those."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from test_engines import PROMPTS, SEEDS, VOCAB, Words

from r1kit.errors import InputError
from r1kit.maths.policy_loss import policy_loss
from r1kit.model.decoder import Decoder
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.model.routes import Routes
from r1kit.model.segments import Segments
from r1kit.records import Completion, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner

SAMPLING = Sampling(n=3, max_tokens=17)
LOSS = partial(policy_loss, clip_low=0.2, clip_high=0.2, kl_weight=0.0)


def decoder() -> Decoder:
    shape = DeepseekShape(hidden_size=32, intermediate_size=48, num_layers=3, moe_intermediate_size=24, mtp_layers=1)
    made: Decoder = family("deepseek_v3").fresh(shape, VOCAB)  # type: ignore[assignment]
    made.initialise(torch.Generator().manual_seed(1))
    return made


def sampled(**settings: object) -> list[tuple[Completion, ...]]:
    return LocalEngine(decoder(), Words(), max_rows=4, **settings).generate(PROMPTS, SAMPLING, SEEDS)  # type: ignore[arg-type]


def batch_of(groups: list[tuple[Completion, ...]], *, with_experts: bool = True) -> Batch:
    rows = [
        Row(
            prompt=place,
            tokens=torch.tensor(one.token_ids),
            weight=0.1,
            advantage=1.0 - index,
            experts=one.experts if with_experts else None,
        )
        for place, group in enumerate(groups)
        for index, one in enumerate(group)
    ]
    return Batch(prompts=[torch.tensor(prompt) for prompt in PROMPTS], rows=rows)


def test_a_completion_tells_what_its_tokens_chose() -> None:
    """As one forward pass over prompt and completion chooses, for rows that came in late too; else nothing changes."""
    model, plain = decoder(), sampled()
    for prompt, group, bare in zip(PROMPTS, sampled(replay=True), plain, strict=True):
        assert group == bare
        assert [one.experts for one in bare] == [None] * 3
        for one in group:
            routes = Routes(chosen={})
            row = torch.tensor([*prompt, *one.token_ids[:-1]])
            with torch.no_grad():
                model.hidden(replace(Segments.pack([row]), routes=routes))
            assert routes.chosen is not None
            wanted = torch.stack([routes.chosen[1], routes.chosen[2]], 1)
            assert torch.equal(one.experts.long().sort(-1).values, wanted.sort(-1).values)


@pytest.mark.slow
def test_the_learner_takes_the_experts_that_it_is_told() -> None:
    """Other experts than its own: packed behind a shared prompt as one sequence by itself, and so is the gradient's
    router: it has a gradient where its experts are given."""
    groups, generator = sampled(replay=True), torch.Generator().manual_seed(0)
    other = []
    for prompt, group in zip(PROMPTS, groups, strict=True):
        before = torch.rand(len(prompt), 2, 8, generator=generator).topk(2, -1).indices.short()
        own = [torch.rand(len(one.token_ids) - 1, 2, 8, generator=generator).topk(2, -1).indices for one in group]
        pairs = zip(group, own, strict=True)
        other.append(tuple(replace(one, experts=torch.cat([before, each.short()])) for one, each in pairs))
    learner, batch = LocalLearner(decoder(), LearnerSettings()), batch_of(other)
    found, own_choice = learner.logprobs(batch), learner.logprobs(batch_of(other, with_experts=False))
    model = decoder()
    for row, logprobs, free in zip(batch.rows, found, own_choice, strict=True):
        assert row.experts is not None
        whole = torch.cat([batch.prompts[row.prompt], row.tokens])
        segments = replace(Segments.pack([whole[:-1]]), replay=row.experts.long())
        with torch.no_grad():
            wanted = (model.hidden(segments) @ model.head.t()).log_softmax(-1).gather(1, whole[1:, None])[:, 0]
        torch.testing.assert_close(logprobs, wanted[-len(row.tokens) :], rtol=0, atol=1e-5)
        assert (logprobs - free).abs().max() > 1e-2
    learner.update(batch, LOSS, 0.0)
    assert learner._gradient_of(learner.flat.model.blocks[1].experts.router.weight).any()  # type: ignore[union-attr]


@pytest.mark.slow
def test_replay_takes_the_jumps_out_of_the_gap_in_bfloat16() -> None:
    """The largest distance of a token's log-prob, engine to learner: with the same experts it is rounding."""
    shape = DeepseekShape(num_layers=6, n_routed_experts=32, num_experts_per_tok=4, moe_intermediate_size=32)
    model: Decoder = family("deepseek_v3").fresh(shape, VOCAB)  # type: ignore[assignment]
    model.initialise(torch.Generator().manual_seed(2))
    engine = LocalEngine(model, Words(), dtype=torch.bfloat16, replay=True)
    groups = engine.generate(PROMPTS, Sampling(n=8, max_tokens=40), SEEDS)
    learner = LocalLearner(model, LearnerSettings(dtype="bfloat16"))
    drawn = torch.cat([torch.tensor(one.logprobs) for group in groups for one in group])
    replayed, free = (
        (torch.cat(learner.logprobs(batch_of(groups, with_experts=told))) - drawn).abs() for told in (True, False)
    )
    assert replayed.max() < 0.5 * free.max()
    assert replayed.mean() < free.mean()


@pytest.mark.parametrize("settings", [{"draft": True, "replay": True}])
def test_drafts_do_not_tell(settings: dict[str, bool]) -> None:
    with pytest.raises(InputError, match="replay is for a model with experts, and not beside draft"):
        sampled(**settings)
