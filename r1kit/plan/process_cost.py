"""What labels of steps and reward models of steps cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from r1kit.plan.cost import Draw, Plan, Work, activation_bytes, learner_bytes, sample, train, width_of

if TYPE_CHECKING:
    from r1kit.loops.prm_settings import PRM
    from r1kit.plan.shape import Shape
    from r1kit.plan.sizes import Sizes

__all__ = ["labelled", "learnt"]

STEPS = 6
"""Of a solution; nobody knows before the policy has written some. A rollout from a prefix is half as long as it."""


def labelled(config: PRM, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """Solutions, and rollouts from every step but the last."""
    labels, rl = config.labels, config.rl
    width = width_of(rl.dtype)
    a_step = min(labels.prompts_per_step, labels.prompts)
    solved = Draw(
        prompts=a_step, n=labels.solutions, prompt_tokens=sizes.prompt, max_tokens=rl.sampling.max_tokens,
        in_flight=rl.rows_in_flight,
    )  # fmt: skip
    rolled = Draw(
        prompts=a_step * labels.solutions * (STEPS - 1),
        n=labels.rollouts,
        prompt_tokens=sizes.prompt + plan.mean_share * rl.sampling.max_tokens / 2,
        max_tokens=rl.sampling.max_tokens // 2,
        in_flight=rl.rows_in_flight,
    )
    each = sample(solved, shape, plan, width) + sample(rolled, shape, plan, width)
    return each * (labels.prompts / a_step)


def learnt(config: PRM, shape: Shape, sizes: Sizes, plan: Plan, more: float = 0.0) -> Work:
    """One reward model over so many solutions, ``more`` of them old; a head of one row."""
    headed, tokens = replace(shape, vocab=1), sizes.prompt + plan.mean_share * config.rl.sampling.max_tokens
    seen = config.labels.prompts * config.labels.solutions * (1 - config.model.held_out_share) * (1 + more)
    batch = min(config.model.micro_batch_tokens, config.model.batch * tokens)
    total = config.model.epochs * seen * tokens
    work = train(total, tokens / 2, headed, plan, width_of(config.rl.dtype), config.model.optimiser, batch)
    alone = replace(plan, shards=1, checkpointing=False)  # what trains reward models is not shared out
    memory = learner_bytes(config.model.optimiser, shape, 4, alone)
    memory += activation_bytes(batch, headed, width_of(config.rl.dtype), alone, seen=tokens)
    return replace(work, memory=memory)
