"""What a stage costs: operations, bytes, seconds, from its settings and the model's shape. No torch, no measurement.

Every formula counts what this version does: the whole model on every device, a group's prompt computed once, master
weights and optimiser state in float32. ``ASSUMPTIONS`` is printed with every plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from r1kit.commands.devices import Device
from r1kit.commands.shape import Shape
from r1kit.loops.settings import RL
from r1kit.stages.pretrain import Config as Pretrain
from r1kit.update.settings import OptimiserSettings

__all__ = ["ASSUMPTIONS", "Lengths", "Plan", "Work", "plan_stage"]


ASSUMPTIONS = (
    "training: 6 N D operations (N: weights a token is multiplied with, head included) and attention, at {mfu:.0%} of "
    "peak",
    "sampling: the slower of 2 N a token and attention at {mfu:.0%} of peak, and reading weights and cache at "
    "{mbu:.0%} of bandwidth",
    "a response has {mean:.0%} of max_tokens on average; a rollout waits for its longest one",
    "every group is learnt from (flat groups cost nothing to learn, so this is an upper bound)",
    "the whole model, its gradient and its optimiser state lie on every device; work divides evenly over devices",
    "verifiers, checkpoints and start-up take no time; activations are approximate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    prompt: float
    """Tokens of a prompt, template applied."""
    document: float
    """Tokens of a pretraining document."""
    problems: int
    """Held-out problems of one evaluation, over its tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a stage runs and what is assumed."""

    device: Device
    devices: int
    mfu: float
    mbu: float
    mean_share: float
    """Mean response length as a share of ``max_tokens``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One stage, over all devices unless said otherwise."""

    trained_tokens: float
    sampled_tokens: float
    flops: float
    seconds: float
    memory: float
    """Bytes on each device at the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """A batch of completions."""

    prompts: float
    n: int
    prompt_tokens: float
    max_tokens: int
    in_flight: int


def plan_stage(config: Any, shape: Shape, lengths: Lengths, plan: Plan) -> Work | None:
    """The work of a stage; None for a kind of stage that nothing is planned for."""
    if isinstance(config, Pretrain):
        return _pretrain(config, shape, lengths, plan)
    return _rl(config, shape, lengths, plan) if isinstance(config, RL) else None


def _pretrain(config: Pretrain, shape: Shape, lengths: Lengths, plan: Plan) -> Work:
    tokens = float(config.steps * config.tokens_per_step)
    flops = tokens * (6 * shape.matrix_weights + 3 * shape.attention_flops(lengths.document / 2))
    sampled, sample_flops, seconds = _evaluations(config, 1, shape, lengths, plan, width=4)
    activations = _activations(min(config.micro_batch_tokens, config.tokens_per_step), shape, 4)
    return Work(
        trained_tokens=tokens,
        sampled_tokens=sampled,
        flops=flops + sample_flops,
        seconds=flops / (plan.devices * plan.device.fp32 * plan.mfu) + seconds,
        memory=_learner_bytes(config.optimiser, shape, 4, reference=False) + activations,
    )


def _rl(config: RL, shape: Shape, lengths: Lengths, plan: Plan) -> Work:
    width = 4 if config.dtype == "float32" else 2
    peak = plan.device.fp32 if width == 4 else plan.device.bf16
    draw = _Draw(
        prompts=config.prompts_per_step * (1 + config.dynamic_sampling),
        n=config.sampling.n,
        prompt_tokens=lengths.prompt,
        max_tokens=config.sampling.max_tokens,
        in_flight=config.rows_in_flight,
    )
    sampled, sample_flops, sample_seconds = _sample(draw, shape, plan, width)
    mean = plan.mean_share * config.sampling.max_tokens
    responses = config.prompts_per_step * config.sampling.n * mean
    learnt = responses + config.prompts_per_step * lengths.prompt * min(config.minibatches, config.sampling.n)
    passes = 3 + (config.minibatches > 1) + bool(config.loss.kl_weight)  # forward and backward, old, reference
    forward = 2 * shape.matrix_weights * learnt + responses * shape.attention_flops(lengths.prompt + mean / 2)
    held_out = math.ceil(config.steps / config.evaluate_every) + 1 + (2 if config.final_split else 0)
    judged, judged_flops, judged_seconds = _evaluations(config, held_out, shape, lengths, plan, width)
    update_seconds = passes * forward / (plan.devices * peak * plan.mfu)
    rows = min(config.rows_in_flight, math.ceil(draw.prompts * draw.n / plan.devices))
    learner = _learner_bytes(config.optimiser, shape, width, reference=config.loss.kl_weight > 0)
    cache = rows * (lengths.prompt + config.sampling.max_tokens) * shape.cache_bytes(width)
    return Work(
        trained_tokens=config.steps * learnt,
        sampled_tokens=config.steps * sampled + judged,
        flops=config.steps * (sample_flops + passes * forward) + judged_flops,
        seconds=config.steps * (sample_seconds + update_seconds) + judged_seconds,
        memory=learner
        + shape.weights * width
        + max(cache, _activations(min(config.micro_batch_tokens, learnt), shape, width)),
    )


def _evaluations(
    config: Any, count: int, shape: Shape, lengths: Lengths, plan: Plan, width: int
) -> tuple[float, float, float]:
    draw = _Draw(
        prompts=lengths.problems,
        n=config.evaluation.k,
        prompt_tokens=lengths.prompt,
        max_tokens=config.evaluation.max_tokens or config.sampling.max_tokens,
        in_flight=config.rows_in_flight if isinstance(config, RL) else 512,
    )
    tokens, flops, seconds = _sample(draw, shape, plan, width)
    return count * tokens, count * flops, count * seconds


def _sample(draw: _Draw, shape: Shape, plan: Plan, width: int) -> tuple[float, float, float]:
    """Tokens, operations and seconds of drawing a batch once."""
    rows, mean = draw.prompts * draw.n, plan.mean_share * draw.max_tokens
    context = draw.prompt_tokens + mean / 2
    flops = 2 * shape.matrix_weights * (draw.prompts * draw.prompt_tokens + rows * mean)
    flops += rows * mean * shape.attention_flops(context)
    on_device = rows / plan.devices
    steps = max(draw.max_tokens, on_device * mean / draw.in_flight) if rows else 0
    moved = steps * shape.weights * width + on_device * mean * context * shape.cache_bytes(width)
    peak = plan.device.fp32 if width == 4 else plan.device.bf16
    seconds = max(flops / (plan.devices * peak * plan.mfu), moved / (plan.device.bandwidth * plan.mbu))
    return rows * mean, flops, seconds


def _learner_bytes(optimiser: OptimiserSettings, shape: Shape, width: int, *, reference: bool) -> float:
    """float32 master, gradient and optimiser state, the copy that computes, the reference."""
    ends = shape.vocab * shape.hidden * (1 if shape.tied else 2)
    state = 8.0 * shape.weights if optimiser.kind == "adamw" else 4.0 * (shape.weights - ends) + 8.0 * ends
    copies = (0 if width == 4 else width) + (width if reference else 0)
    return shape.weights * (8.0 + copies) + state


def _activations(tokens: float, shape: Shape, width: int) -> float:
    """What backward needs of every layer, and three chunks of 1,024 rows of logits."""
    heads = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
    return tokens * shape.layers * (6 * shape.hidden + heads + 4 * shape.ffn) * width + 3 * 1024 * shape.vocab * 4.0
