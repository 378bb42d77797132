"""What the stages cost that make samples or reward models instead of a policy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from r1kit.factory.refine import is_model
from r1kit.plan.cost import (
    NOTHING,
    Draw,
    Many,
    Plan,
    Work,
    activation_bytes,
    learner_bytes,
    sample,
    train,
    width_of,
)

if TYPE_CHECKING:
    from r1kit.factory.collection import Collection
    from r1kit.plan.shape import Shape
    from r1kit.plan.sizes import Sizes
    from r1kit.records import Sampling
    from r1kit.stages.cold_start import Config as ColdStart
    from r1kit.stages.reward_models import Config as RewardModels
    from r1kit.stages.reward_models import Kind

__all__ = ["cold_start", "rejection_sampling", "reward_models"]

RESPONSES: dict[Kind, int] = {"helpfulness": 2, "safety": 1}
"""Of an example: a pair has two."""


def rejection_sampling(config: Collection, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Prompts x n responses, and a judge's view of those of its tasks."""
    work = NOTHING
    for asked in sizes.asked:
        work += _sampled(config, asked, shape, plan)
        if sizes.judged:
            work += _read_again(config, asked, config.judge_sampling, shape, plan) * sizes.judged
    return work


def cold_start(config: ColdStart, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Every route's responses, and what a refiner writes that is a model."""
    work = rejection_sampling(config, shape, sizes, plan)
    if is_model(config.refiner):
        for asked in sizes.asked:
            work += _read_again(config, asked, config.refiner_sampling, shape, plan)
    return work


def _sampled(config: Collection, asked: Many, shape: Shape, plan: Plan) -> Work:
    """Step by step: each waits for its longest response."""
    a_step = min(config.prompts_per_step, asked.number)
    draw = Draw(
        prompts=a_step,
        n=config.sampling.n,
        prompt_tokens=asked.tokens,
        max_tokens=config.sampling.max_tokens,
        in_flight=config.rows_in_flight,
    )
    return sample(draw, shape, plan, width_of(config.dtype)) * (asked.number / a_step)


def _read_again(config: Collection, asked: Many, sampling: Sampling, shape: Shape, plan: Plan) -> Work:
    """Another model reads every response with its question, and writes about it."""
    responses = Many(asked.number * config.sampling.n, asked.tokens + plan.mean_share * config.sampling.max_tokens)
    steps = replace(
        config, prompts_per_step=config.prompts_per_step * config.sampling.n, sampling=replace(sampling, n=1)
    )
    return _sampled(steps, responses, shape, plan)


def reward_models(config: RewardModels, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Each model's training on its examples, those held out scored; pairs of own samples are sampled first."""
    work = NOTHING
    for kind in config.models:
        many = sizes.examples[kind]
        work += _scored(config, many.number * RESPONSES[kind], many.tokens, shape, plan)
    pairs = config.helpfulness
    if pairs.own_samples and "helpfulness" in config.models:
        draw = Draw(prompts=pairs.own_samples, n=2, prompt_tokens=sizes.prompt, max_tokens=pairs.sampling.max_tokens)
        work += sample(draw, shape, plan, width_of(config.dtype))
        if pairs.judge:
            both = sizes.prompt + 2 * plan.mean_share * pairs.sampling.max_tokens
            asked = pairs.own_samples * pairs.construction.judgements
            draw = Draw(
                prompts=asked, n=1, prompt_tokens=both, max_tokens=pairs.judge_sampling.max_tokens, in_flight=64
            )
            work += sample(draw, shape, plan, width_of(config.dtype))
    return work


def _scored(config: RewardModels, responses: float, tokens: float, shape: Shape, plan: Plan) -> Work:
    """Training on what is not held out, and one look at what is under a head of one row."""
    headed, width = replace(shape, vocab=1), width_of(config.dtype)
    learnt = config.epochs * (1 - config.held_out_share) * responses * tokens
    batch = min(config.micro_batch_tokens, config.batch * tokens)
    trained = train(learnt, tokens / 2, headed, plan, width, config.optimiser, batch)
    looked = (
        config.held_out_share * responses * tokens * (2 * headed.matrix_parameters + headed.attention_flops(tokens / 2))
    )
    alone = replace(plan, shards=1, checkpointing=False)  # what trains reward models is not shared out
    memory = learner_bytes(config.optimiser, shape, 4, alone)
    memory += activation_bytes(batch, headed, width, alone, seen=tokens)
    return replace(trained, memory=memory) + Work(flops=looked, seconds=plan.computing(looked, width))
