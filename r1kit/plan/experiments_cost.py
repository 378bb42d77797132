"""What the experiments cost: rounds of tree search with two models that learn, and process rewards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from r1kit.plan.cost import Draw, Plan, Work, activation_bytes, learner_bytes, sample, train, width_of

if TYPE_CHECKING:
    from r1kit.loops.mcts_settings import MCTS
    from r1kit.loops.prm_settings import PRM
    from r1kit.plan.shape import Shape
    from r1kit.plan.sizes import Sizes
    from r1kit.update.settings import OptimiserSettings

__all__ = ["labelled", "learnt", "tree_search"]

SPENDERS = 3
"""Of an evaluation: the search, whole chains at its tokens, beam search at its tokens."""


def tree_search(config: MCTS, shape: Shape, sizes: Sizes, plan: Plan) -> Work:
    """The value model's first chains, then each round's trees and training, and an evaluation before and after each.

    A prefix is half as long as a chain on average; the value model has the policy's shape, and reads each leaf once.
    """
    width, search = width_of(config.dtype), config.search
    chain = plan.mean_share * config.sampling.max_tokens
    prefix = sizes.prompt + chain / 2

    def drawn(prompts: float, n: int, before: float, max_tokens: int) -> Work:
        rows = config.rows_in_flight
        draw = Draw(prompts=prompts, n=n, prompt_tokens=before, max_tokens=max_tokens, in_flight=rows)
        return sample(draw, shape, plan, width)

    def trees(problems: float) -> Work:
        leaves = problems * search.simulations
        found = drawn(leaves, search.children, prefix, search.steps.most)
        if search.value == "rollouts":
            found += drawn(leaves, search.rollouts, prefix, config.sampling.max_tokens)
        if search.value == "model":
            flops = leaves * prefix * 2 * shape.matrix_parameters
            found += Work(flops=flops, seconds=plan.computing(flops, width))
        return found

    def learnt(tokens: float, optimiser: OptimiserSettings) -> Work:
        budget = min(config.micro_batch_tokens, tokens)
        return train(tokens, prefix / 2, shape, plan, width, optimiser, budget)

    first = config.value.prompts * config.value.chains
    steps = max(1.0, chain / max(1.0, plan.mean_share * search.steps.most))
    value = learnt(config.value.epochs * first * steps * prefix, config.value.optimiser)
    round_ = trees(config.prompts) * (2 if config.learns == "whole_chains" else 1)
    round_ += learnt(
        config.actor.epochs * config.prompts * config.chains * (sizes.prompt + chain), config.actor.optimiser
    )
    round_ += learnt(config.value.epochs * config.prompts * search.simulations * prefix, config.value.optimiser)
    look = trees(sizes.problems(config.evaluation)) * SPENDERS
    start = drawn(config.value.prompts, config.value.chains, sizes.prompt, config.sampling.max_tokens) + value
    return start + round_ * config.rounds + look * (config.rounds + 1)


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
