"""Trees of many problems grown together: a wave walks to leaves of all and draws their steps in one engine call.

A problem's draws hang on its own seed and on the place of the node in its tree, so what shares a wave changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from r1kit.records import Completion, Prompt, Sampling
from r1kit.rollout.engine import Engine
from r1kit.rollout.streams import stream_seed
from r1kit.search.settings import Search
from r1kit.search.tree import Child, Node, Tree

__all__ = ["Place", "Valuer", "child_of", "draw_steps", "grow", "grown", "planted"]

Place = tuple[Tree, Node]


class Valuer(Protocol):
    """Says what prefixes and chains are worth."""

    def values(self, places: Sequence[Place]) -> list[float]:
        """From 0 to 1 each: how likely the chain ends right. What it samples it counts on the trees."""
        ...


def planted(
    prompts: Sequence[Prompt], render: Callable[[Prompt], Sequence[int]], seed_of: Callable[[int], int]
) -> list[Tree]:
    """A tree a prompt, nothing grown yet."""
    return [Tree(prompt, tuple(render(prompt)), seed_of(place)) for place, prompt in enumerate(prompts)]


def grown(trees: Sequence[Tree], config: Search, engine: Engine, valuer: Valuer, ends: Collection[int]) -> int:
    """Grow every tree to ``config.simulations``; the number of waves that took.

    Args:
        trees: as planted, or grown before.
        config: of the search.
        engine: draws the steps.
        valuer: of leaves, and of ended chains.
        ends: tokens that end a chain.
    """
    waves = 0
    while grow(trees, config, engine, valuer, ends):
        waves += 1
    return waves


def grow(trees: Sequence[Tree], config: Search, engine: Engine, valuer: Valuer, ends: Collection[int]) -> bool:
    """One wave: up to ``at_once`` walks in each tree, one engine call and one call of the valuer for all; whether any
    tree still had simulations to do."""
    walked: list[Place] = []
    for tree in trees:
        for _ in range(min(config.at_once, config.simulations - tree.simulations)):
            node = tree.walk(config.exploration)
            if node is None:
                break
            walked.append((tree, node))
    if not walked:
        return False
    fresh = [(tree, node) for tree, node in walked if node.value is None]
    open_ = [(tree, node) for tree, node in fresh if not node.closed]
    for (tree, node), drawn in zip(open_, draw_steps(open_, config, engine, config.children), strict=True):
        tree.expand(
            node,
            [child_of(one, ends) for one in drawn],
            uniform=config.prior == "uniform",
            depth=config.depth,
            max_tokens=config.max_tokens,
        )
    judged = [(tree, node) for tree, node in fresh if not node.failed]
    found = {id(node): value for (_, node), value in zip(judged, valuer.values(judged), strict=True)}
    for tree, node in walked:
        known = node.value if node.value is not None else found.get(id(node), 0.0)
        tree.back_up(node, known)
    return True


def draw_steps(places: Sequence[Place], config: Search, engine: Engine, n: int) -> list[tuple[Completion, ...]]:
    """``n`` next steps behind each place, all in one call."""
    if not places:
        return []
    sampling = Sampling(n=n, max_tokens=config.steps.most, temperature=config.temperature, stop=config.steps.marks)
    prompts = [tree.prompt_ids + node.tokens for tree, node in places]
    return engine.generate(prompts, sampling, [stream_seed(tree.seed, "step", node.name) for tree, node in places])


def child_of(completion: Completion, ends: Collection[int]) -> Child:
    """A step as the tree keeps it."""
    tokens = completion.token_ids
    return Child(tokens=tokens, logprob=float(sum(completion.logprobs)), ended=bool(tokens) and tokens[-1] in ends)
