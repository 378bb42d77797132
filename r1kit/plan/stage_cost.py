"""What each stage of ours costs: a table from its kind to its formula. No torch, no measurement."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from r1kit.loops.settings import RL, SFT
from r1kit.plan.cost import NOTHING, Draw, Plan, Work, activation_bytes, learner_bytes, sample, train, width_of
from r1kit.plan.data_cost import cold_start, rejection_sampling, reward_models

if TYPE_CHECKING:
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.plan.shape import Shape
    from r1kit.plan.sizes import Sizes
    from r1kit.records import Sampling
    from r1kit.stages.distill import Config as Distill
    from r1kit.stages.evaluate import Config as Evaluate
    from r1kit.stages.pretrain import Config as Pretrain

__all__ = ["FORMULAS", "Formula", "formula_of"]


class Formula(Protocol):
    """What a kind of stage costs."""

    def __call__(self, config: Any, shape: Shape, sizes: Sizes, plan: Plan, /) -> Work:
        """The work of a stage with these settings, for a model of this shape, on these devices."""
        ...


def formula_of(kind: str, config: Any) -> Formula | None:
    """The formula of a kind; settings of the user's own that are an ``RL`` or an ``SFT`` cost what those do."""
    inherited = next((cost for cls, cost in ((RL, _rl), (SFT, _sft)) if isinstance(config, cls)), None)
    return FORMULAS.get(kind, inherited)


def _pretrain(config: Pretrain, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    judged = _evaluation(config.evaluation, config.sampling, shape, sizes, plan, width_of(config.dtype))
    return _language_model(config, shape, sizes, plan) + judged


def _language_model(config: Pretrain, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    tokens = float(config.steps * config.tokens_per_step)
    budget = min(config.micro_batch_tokens, config.tokens_per_step)
    return train(tokens, sizes.document / 2, shape, plan, width_of(config.dtype), config.optimiser, budget)


def _sft(config: SFT, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    judged = _evaluation(config.evaluation, config.sampling, shape, sizes, plan, width_of(config.dtype))
    return _learnt(config, shape, sizes, plan) + judged


def _learnt(config: SFT, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    tokens = config.epochs * sizes.samples.number * sizes.samples.tokens
    budget = min(config.micro_batch_tokens, config.samples_per_step * sizes.samples.tokens)
    return train(tokens, sizes.samples.tokens / 2, shape, plan, width_of(config.dtype), config.optimiser, budget)


def _rl(config: RL, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    width = width_of(config.dtype)
    steps = _rl_step(config, shape, sizes, plan) * config.steps
    judged = _evaluation(config.evaluation, config.sampling, shape, sizes, plan, width, config.rows_in_flight)
    work = steps + judged * (math.ceil(config.steps / config.evaluate_every) + 1)
    if config.final_split:
        limit = config.final_limit or config.evaluation.limit
        final = replace(config.evaluation, split=config.final_split, limit=limit)
        work += _evaluation(final, config.sampling, shape, sizes, plan, width, config.rows_in_flight) * 2
    return work


def _rl_step(config: RL, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """A rollout and its updates."""
    width = width_of(config.dtype)
    draw = Draw(
        prompts=config.prompts_per_step * (1 + config.dynamic_sampling),
        n=config.sampling.n,
        prompt_tokens=sizes.prompt,
        max_tokens=config.sampling.max_tokens,
        in_flight=config.rows_in_flight,
    )
    sampled = sample(draw, shape, plan, width)
    mean = plan.mean_share * config.sampling.max_tokens
    responses = config.prompts_per_step * config.sampling.n * mean
    learnt = responses + config.prompts_per_step * sizes.prompt * min(config.minibatches, config.sampling.n)
    passes = 3 + (config.minibatches > 1) + bool(config.loss.kl_weight)  # forward and backward, old, reference
    forward = 2 * shape.matrix_parameters * learnt + responses * shape.attention_flops(sizes.prompt + mean / 2)
    activations = activation_bytes(min(config.micro_batch_tokens, learnt), shape, width, plan)
    learner = learner_bytes(config.optimiser, shape, width, plan, reference=config.loss.kl_weight > 0)
    return Work(
        trained_tokens=learnt,
        sampled_tokens=sampled.sampled_tokens,
        flops=sampled.flops + passes * forward,
        seconds=sampled.seconds + plan.computing(passes * forward, width),
        memory=learner + max(sampled.memory, shape.parameters * width / plan.engine_devices + activations),
    )


def _distill(config: Distill, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Each student's base, SFT and, where asked, RL, each judged when it is done."""
    work = NOTHING
    for name, student in config.students.items():
        own = sizes.students[name]
        if sizes.pretrain and not student.model.name:
            work += _language_model(replace(sizes.pretrain, steps=config.base_steps), own, sizes, plan)
        learnt = _learnt(config.sft, own, sizes, plan)
        judged = _evaluation(config.evaluation, config.rl.sampling, own, sizes, plan, width_of(config.rl.dtype))
        work += learnt + judged * 2
        if student.direct_rl:
            work += _rl_within(config.rl, learnt.flops + sizes.data_flops, own, sizes, plan) + judged * 2
    return work


def _rl_within(config: RL, flops: float, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """RL that ends at the first step after the operations are spent; evaluations are not on the budget."""
    steps = math.ceil(flops / _rl_step(config, shape, sizes, plan).flops)
    return _rl(replace(config, steps=min(config.steps, steps), final_split=""), shape, sizes, plan)


def _evaluate(config: Evaluate, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Checkpoints x problems x k, and some of the problems in every other template."""
    other = replace(sizes, problems=lambda _: sizes.template_problems)
    width, rows = width_of(config.dtype), config.rows_in_flight
    own, templated = (
        _evaluation(config.evaluation, config.sampling, shape, found, plan, width, rows) for found in (sizes, other)
    )
    return (own + templated * len(config.templates)) * len(config.stages)


def _evaluation(
    config: EvaluationConfig, sampling: Sampling, shape: Shape, sizes: Sizes, plan: Plan, width: int,
    in_flight: int = 512,
) -> Work:  # fmt: skip
    draw = Draw(
        prompts=sizes.problems(config),
        n=config.k,
        prompt_tokens=sizes.prompt,
        max_tokens=config.max_tokens or sampling.max_tokens,
        in_flight=in_flight,
    )
    return sample(draw, shape, plan, width)


FORMULAS: dict[str, Formula] = {
    "pretrain": _pretrain,
    "r1_zero": _rl,
    "cold_start": cold_start,
    "cold_start_sft": _sft,
    "reasoning_rl": _rl,
    "rejection_sampling": rejection_sampling,
    "sft": _sft,
    "reward_models": reward_models,
    "all_scenarios_rl": _rl,
    "distill": _distill,
    "evaluate": _evaluate,
}
"""Kind of a stage -> its formula."""
