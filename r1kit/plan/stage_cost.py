"""What each stage of ours costs: a table from its kind to its formula. No torch, no measurement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from r1kit.loops.ppo_settings import PPO
from r1kit.loops.settings import RL, SFT
from r1kit.plan.cost import NOTHING, Draw, Plan, Work, activation_bytes, learner_bytes, sample, train, width_of
from r1kit.plan.data_cost import cold_start, rejection_sampling, reward_models
from r1kit.plan.experiments_cost import labelled, learnt, tree_search

if TYPE_CHECKING:
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.loops.prm_settings import PRM
    from r1kit.plan.shape import Shape
    from r1kit.plan.sizes import Sizes
    from r1kit.records import Sampling
    from r1kit.stages.distill import Config as Distill
    from r1kit.stages.evaluate import Config as Evaluate
    from r1kit.stages.pretrain import Config as Pretrain
    from r1kit.stages.probe import Config as Probe

__all__ = ["FORMULAS", "Formula", "Piece", "formula_of", "pieces_of"]


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
    width, context = width_of(config.dtype), sizes.samples.tokens / 2
    return train(tokens, context, shape, plan, width, config.optimiser, budget, config.lora)


def _rl(config: RL, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    width = width_of(config.dtype)
    steps, done = NOTHING, 0
    for until in (*(one.until for one in config.shorter), config.steps):
        alike = replace(config, sampling=config.sampling_at(done))
        steps, done = steps + _rl_step(alike, shape, sizes, plan) * (until - done), until
    judged = _evaluation(config.evaluation, config.sampling, shape, sizes, plan, width, config.rows_in_flight)
    looks = judged * (math.ceil(config.steps / config.evaluate_every) + 1)
    return steps + looks + _final(config, shape, sizes, plan) * 2


def _ppo(config: PPO, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """RL, and a second learner of the same size that learns from every completion (values are read in passing)."""
    width, mean = width_of(config.dtype), plan.mean_share * config.sampling.max_tokens
    tokens = config.prompts_per_step * (config.sampling.n * mean + sizes.prompt)
    critic = train(tokens, mean / 2, shape, plan, width, config.optimiser, config.micro_batch_tokens)
    own = _rl(config, shape, sizes, plan)
    both = own + critic * config.steps
    return replace(both, memory=own.memory + learner_bytes(config.optimiser, shape, width, plan))


def _final(config: RL, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """One evaluation on the split that is looked at before the first step and after the last."""
    if not config.final_split:
        return NOTHING
    limit = config.final_limit or config.evaluation.limit
    final = replace(config.evaluation, split=config.final_split, limit=limit)
    return _evaluation(final, config.sampling, shape, sizes, plan, width_of(config.dtype), config.rows_in_flight)


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
    passes = 3 + config.passes  # forward and backward, old, reference
    forward = 2 * shape.matrix_parameters * learnt + responses * shape.attention_flops(sizes.prompt + mean / 2)
    budget, seen = min(config.micro_batch_tokens, learnt), sizes.prompt + mean
    activations = activation_bytes(budget, shape, width, plan, config.lora, seen)
    reference = config.loss.kl_weight > 0
    learner = learner_bytes(config.optimiser, shape, width, plan, reference=reference, lora=config.lora)
    return Work(
        trained_tokens=learnt,
        sampled_tokens=sampled.sampled_tokens,
        flops=sampled.flops + passes * forward,
        seconds=sampled.seconds + plan.computing(passes * forward, width),
        memory=learner + max(sampled.memory, shape.parameters * width / plan.engine_devices + activations),
    )


def _distill(config: Distill, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    return sum((piece.work for piece in _students(config, shape, sizes, plan)), start=NOTHING)


def _students(config: Distill, shape: Shape, sizes: Sizes, plan: Plan) -> Iterator[Piece]:
    """Each student's base, SFT and, where asked, RL, each judged when it is done."""
    for name, student in config.students.items():
        own, fresh = sizes.students[name], not student.model.name
        judged = _evaluation(config.evaluation, config.rl.sampling, own, sizes, plan, width_of(config.rl.dtype))
        base = NOTHING
        if sizes.pretrain and fresh:
            base = _language_model(replace(sizes.pretrain, steps=config.base_steps), own, sizes, plan)
        learnt = _learnt(config.sft, own, sizes, plan)
        yield Piece(
            name=f"{name}/base", sort="learn", work=base + judged, look=judged, steps=config.base_steps if fresh else 0
        )
        yield Piece(name=f"{name}/distilled", sort="learn", work=learnt + judged, look=judged)
        if student.direct_rl:
            within = _within(config.rl, learnt.flops + sizes.data_flops, own, sizes, plan)
            direct = _rl_piece(within, own, sizes, plan)
            yield replace(direct, name=f"{name}/rl", work=direct.work + judged * 2)


def _within(config: RL, flops: float, shape: Shape, sizes: Sizes, plan: Plan) -> RL:
    """RL that ends at the first step after the operations are spent; evaluations are not on the budget."""
    steps = math.ceil(flops / _rl_step(config, shape, sizes, plan).flops)
    return replace(config, steps=min(config.steps, steps), final_split="")


def _prm(config: PRM, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    return sum((piece.work for piece in _process_rewards(config, shape, sizes, plan)), start=NOTHING)


def _process_rewards(config: PRM, shape: Shape, sizes: Sizes, plan: Plan) -> Iterator[Piece]:
    """The parts of the experiment, in order. RL by rules ends where it has cost what came before it did."""
    own = replace(config.best_of_evaluation, tasks=config.rl.evaluation.tasks or config.rl.tasks)
    labels, model = (cost(config, shape, sizes, plan) for cost in (labelled, learnt))
    yield Piece(name="labels", sort="sample", work=labels)
    yield Piece(name="process", sort="learn", work=model)
    yield Piece(name="outcome", sort="learn", work=model)
    ranked = _evaluation(own, config.ranked, shape, sizes, plan, width_of(config.rl.dtype), config.rl.rows_in_flight)
    yield Piece(name="best_of", sort="sample", work=ranked)
    by_steps = _rl_piece(config.rl, shape, sizes, plan)
    yield replace(by_steps, name="process_rl")
    for number in range(2, config.rounds + 2):
        more = config.replay / (1 - config.replay)
        yield Piece(name=f"labels_{number}", sort="sample", work=labels)
        yield Piece(name=f"process_{number}", sort="learn", work=learnt(config, shape, sizes, plan, more))
        yield replace(by_steps, name=f"process_rl_{number}")
    most = config.rule_steps or 4 * config.rl.steps
    within = _within(
        replace(config.rl, steps=most), labels.flops + 2 * model.flops + by_steps.work.flops, shape, sizes, plan
    )
    yield replace(_rl_piece(within, shape, sizes, plan), name="rule_rl")


def _evaluate(config: Evaluate, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Checkpoints x problems x k, and some of the problems in every other template."""
    other = replace(sizes, problems=lambda _: sizes.template_problems)
    width, rows = width_of(config.dtype), config.rows_in_flight
    own, templated = (
        _evaluation(config.evaluation, config.sampling, shape, found, plan, width, rows) for found in (sizes, other)
    )
    return (own + templated * config.prompts) * len(config.stages)


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


def _probe(config: Probe, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Each checkpoint in each dtype: its prompts sampled three times over, and read twice."""
    count = config.prompts * len(config.tasks)
    draw = Draw(
        prompts=count,
        n=config.sampling.n,
        prompt_tokens=sizes.prompt,
        max_tokens=config.sampling.max_tokens,
        in_flight=config.rows_in_flight,
    )
    read = 2 * shape.matrix_parameters * count * config.sampling.n * plan.mean_share * config.sampling.max_tokens
    found = NOTHING
    for dtype in config.dtypes:
        width = width_of(dtype)
        found += sample(draw, shape, plan, width) * 3 + Work(flops=2 * read, seconds=plan.computing(2 * read, width))
    return found * len(config.stages)


FORMULAS: dict[str, Formula] = {
    "pretrain": _pretrain,
    "r1_zero": _rl,
    "cold_start": cold_start,
    "cold_start_sft": _sft,
    "reasoning_rl": _rl,
    "ppo": _ppo,
    "rejection_sampling": rejection_sampling,
    "sft": _sft,
    "reward_models": reward_models,
    "all_scenarios_rl": _rl,
    "distill": _distill,
    "mcts": tree_search,
    "prm": _prm,
    "probe": _probe,
    "evaluate": _evaluate,
}
"""Kind of a stage -> its formula."""


# ---- what a stage does in one go --------------------------------------------------------------------------------

Sort = Literal["learn", "rl", "sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stage, or a part of it that has steps, logs and a resume point of its own."""

    name: str = ""
    """Of the part, as its folder is called; empty: the stage itself."""
    sort: Sort
    """Pieces of one sort are as much slower or faster than planned as each other."""
    work: Work
    """All of it, evaluations included."""
    look: Work = NOTHING
    """One evaluation, between steps or after the last."""
    ends: Work = NOTHING
    """What is evaluated before the first step, and again after the last, beside that."""
    every: int = 0
    """Steps between evaluations; 0: none before the last."""
    steps: int | None = None
    """None: known once it runs."""


def pieces_of(kind: str, config: Any, shape: Shape, sizes: Sizes, plan: Plan) -> list[Piece] | None:
    """What a stage does, in order; None where its kind has no formula."""
    formula = formula_of(kind, config)
    if formula is None:
        return None
    if kind == "distill":
        return list(_students(config, shape, sizes, plan))
    if kind == "prm":
        return list(_process_rewards(config, shape, sizes, plan))
    if kind == "reward_models":
        return [
            Piece(name=name, sort="learn", work=reward_models(replace(config, models=(name,)), shape, sizes, plan))
            for name in config.models
        ]
    if isinstance(config, RL):
        return [_rl_piece(config, shape, sizes, plan)]
    work = formula(config, shape, sizes, plan)
    if kind == "pretrain" or isinstance(config, SFT):
        look = _evaluation(config.evaluation, config.sampling, shape, sizes, plan, width_of(config.dtype))
        return [Piece(sort="learn", work=work, look=look, steps=getattr(config, "steps", None))]
    return [Piece(sort="sample", work=work)]


def _rl_piece(config: RL, shape: Shape, sizes: Sizes, plan: Plan) -> Piece:
    width, rows = width_of(config.dtype), config.rows_in_flight
    look = _evaluation(config.evaluation, config.sampling, shape, sizes, plan, width, rows)
    return Piece(
        sort="rl",
        work=_rl(config, shape, sizes, plan),
        look=look,
        ends=_final(config, shape, sizes, plan),
        every=config.evaluate_every,
        steps=config.steps,
    )
