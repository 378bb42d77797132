"""What rounds of tree search cost: trees, whole chains beside them, and two models that learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from r1kit.plan.cost import Draw, Plan, Work, sample, train, width_of

if TYPE_CHECKING:
    from r1kit.loops.mcts_settings import MCTS
    from r1kit.plan.shape import Shape
    from r1kit.plan.sizes import Sizes
    from r1kit.update.settings import OptimiserSettings

__all__ = ["tree_search"]

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
