"""What a search is compared with at equal tokens: whole chains up to its bill, and beam search over its steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Engine
from r1kit.rollout.streams import stream_seed
from r1kit.search.explore import Place, Valuer, child_of, draw_steps
from r1kit.search.settings import Search
from r1kit.search.tree import Node, Tree

__all__ = ["Beam", "beams", "chains", "paid_for"]

AT_ONCE = 8
"""Chains a problem in one call."""


def paid_for(tree: Tree, some: Sequence[Completion]) -> int:
    """How many of the chains, in order, the tree's tokens pay for; the first is always paid for."""
    spent = 0
    for place, one in enumerate(some):
        spent += len(one.token_ids)
        if place and spent > tree.tokens:
            return place
    return len(some)


def chains(trees: Sequence[Tree], sampling: Sampling, engine: Engine) -> list[list[Completion]]:
    """Whole chains of each problem: at least ``sampling.n``, and so many that they cost what its tree did."""
    found: list[list[Completion]] = [[] for _ in trees]
    todo, round_ = list(range(len(trees))), 0
    while todo:
        n = max(sampling.n, AT_ONCE) if round_ == 0 else AT_ONCE
        drawn = engine.generate(
            [trees[place].prompt_ids for place in todo],
            Sampling(n=n, max_tokens=sampling.max_tokens, temperature=sampling.temperature, top_p=sampling.top_p),
            [stream_seed(trees[place].seed, "chain", round_) for place in todo],
        )
        for place, some in zip(todo, drawn, strict=True):
            found[place].extend(some)
        todo = [place for place in todo if sum(len(one.token_ids) for one in found[place]) < trees[place].tokens]
        round_ += 1
    return found


@dataclass(slots=True)
class Beam:
    """Of one problem: a beam, begun anew as long as there are tokens."""

    budget: int
    tree: Tree
    front: list[Node]
    again: int = 0
    spent: int = 0
    """Of the trees before this one."""
    ended: list[tuple[Place, float]] = field(default_factory=list)
    """Chains, with what they are worth."""

    @property
    def tokens(self) -> int:
        return self.spent + self.tree.tokens


def beams(
    trees: Sequence[Tree], config: Search, engine: Engine, valuer: Valuer, ends: Collection[int]
) -> list[Beam]:  # fmt: skip
    """Beam search of each problem over the same steps, with as many prefixes kept as a search has children, each with
    as many steps drawn behind it; begun anew with other random numbers until it has cost what its tree did."""
    found = [_begun(tree, tree.tokens, 0) for tree in trees]
    while active := [beam for beam in found if beam.tokens < beam.budget]:
        for beam in active:
            if not beam.front:
                _again(beam)
        places = [(beam.tree, node) for beam in active for node in beam.front]
        for (tree, node), drawn in zip(places, draw_steps(places, config, engine, config.children), strict=True):
            steps = [child_of(one, ends) for one in drawn]
            tree.expand(node, steps, uniform=True, depth=config.depth, max_tokens=config.max_tokens)
        children = [(beam, child) for beam in active for node in beam.front for child in node.children or ()]
        values = valuer.values([(beam.tree, child) for beam, child in children])
        told = {id(child): value for (_, child), value in zip(children, values, strict=True)}
        for beam in active:
            new = [child for node in beam.front for child in node.children or ()]
            beam.ended += [((beam.tree, child), told[id(child)]) for child in new if child.ended]
            open_ = [child for child in new if not child.closed]
            beam.front = sorted(open_, key=lambda child: -told[id(child)])[: config.children]
    return found


def _begun(tree: Tree, budget: int, again: int) -> Beam:
    fresh = Tree(tree.prompt, tree.prompt_ids, stream_seed(tree.seed, "beam", again))
    return Beam(budget=budget, tree=fresh, front=[fresh.root], again=again)


def _again(beam: Beam) -> None:
    beam.spent += beam.tree.tokens
    beam.again += 1
    fresh = _begun(beam.tree, beam.budget, beam.again)
    beam.tree, beam.front = fresh.tree, fresh.front
