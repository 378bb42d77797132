"""A search beside its controls at equal tokens, on the same problems, by the same value model."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from r1kit.evals.interval import mean_interval
from r1kit.maths.pass_at_k import consensus
from r1kit.records import Completion, Group, Sampling, Score
from r1kit.rollout.engine import Engine
from r1kit.search.controls import beams, chains, paid_for
from r1kit.search.explore import Valuer, grown
from r1kit.search.settings import Search
from r1kit.search.tree import Node, Tree
from r1kit.search.value import Decode, Grade, completion_of_node, is_right

__all__ = ["Compared", "Picked", "chosen", "compare", "shape_of", "summed_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What one method made of one problem."""

    right: float
    """1 where the answer it gives is right; a tie counts the mean of what is tied."""
    found: float
    """1 where one of its chains is right, whichever it gave."""
    tokens: int
    """That it sampled."""
    ended: int
    """Chains that ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    methods: dict[str, list[Picked]]
    """``search``, ``majority``, ``best_of_n``, ``beam`` -> one a problem."""
    groups: list[Group]
    """The first ``k`` whole chains of each problem: a plain evaluation."""
    scores: list[list[Score]]
    trees: list[Tree]


def compare(
    trees: Sequence[Tree], config: Search, sampling: Sampling, engine: Engine, valuer: Valuer, grade: Grade,
    decode: Decode, ends: Collection[int],
) -> Compared:  # fmt: skip
    """Search every problem, and let the controls spend on each what its search did.

    Args:
        trees: planted.
        config: of the search.
        sampling: of whole chains; ``n`` of them at least.
        engine: draws all of it.
        valuer: without the answers.
        grade: rules, asked after all is drawn; of whole chains alone.
        decode: ids as text.
        ends: tokens that end a chain.
    """
    grown(trees, config, engine, valuer, ends)
    places = [[(tree, node) for node in tree.ended()] for tree in trees]
    fresh = [place for some in places for place in some if place[1].value is None]
    told = {id(node): value for (_, node), value in zip(fresh, valuer.values(fresh), strict=True)}
    walked = [[(node, node.value if node.value is not None else told[id(node)]) for _, node in some] for some in places]
    spent = [tree.tokens for tree in trees]
    drawn = chains(trees, sampling, engine)
    scores = [list(row) for row in grade([_group(tree, some) for tree, some in zip(trees, drawn, strict=True)])]
    judge = _Judge(grade, decode)
    found = {"search": judge.picked(trees, walked, spent, config.answer), **_whole(trees, drawn, scores, valuer, ends)}
    beamed = beams(trees, config, engine, valuer, ends)
    kept = [[(node, value) for (_, node), value in beam.ended] for beam in beamed]
    found["beam"] = judge.picked(trees, kept, [beam.tokens for beam in beamed], "best")
    k = sampling.n
    first = [_group(tree, some[:k]) for tree, some in zip(trees, drawn, strict=True)]
    return Compared(methods=found, groups=first, scores=[row[:k] for row in scores], trees=list(trees))


def _whole(
    trees: Sequence[Tree], drawn: Sequence[Sequence[Completion]], scores: Sequence[Sequence[Score]], valuer: Valuer,
    ends: Collection[int],
) -> dict[str, list[Picked]]:  # fmt: skip
    """The controls that take whole chains, of each problem as many as its tree's tokens pay for. A chain that was cut
    is worth nothing."""
    counts = [paid_for(tree, some) for tree, some in zip(trees, drawn, strict=True)]
    nodes = [[_node(one, ends) for one in some[:count]] for some, count in zip(drawn, counts, strict=True)]
    places = [(tree, node) for tree, some in zip(trees, nodes, strict=True) for node in some if node.ended]
    worth = {id(node): value for (_, node), value in zip(places, valuer.values(places), strict=True)}
    found: dict[str, list[Picked]] = {"majority": [], "best_of_n": [], "weighted": []}
    for some, row in zip(nodes, scores, strict=True):
        judged, values = row[: len(some)], [worth.get(id(node), 0.0) for node in some]
        right, tokens = [float(is_right(score)) for score in judged], sum(len(node.tokens) for node in some)
        voted = consensus([score.answer for score in judged], right)
        for name, value in (
            ("majority", voted),
            ("best_of_n", chosen(values, judged, "best")),
            ("weighted", chosen(values, judged, "vote")),
        ):
            found[name].append(Picked(right=value, found=max(right), tokens=tokens, ended=len(some)))
    return found


class _Judge:
    """Judges the chains that ended in trees, all problems at once."""

    def __init__(self, grade: Grade, decode: Decode) -> None:
        self._grade, self._decode = grade, decode

    def picked(
        self, trees: Sequence[Tree], ended: Sequence[Sequence[tuple[Node, float]]], tokens: Sequence[int], how: str
    ) -> list[Picked]:
        """Of each problem, by its chains with what they are worth and the tokens that it took."""
        groups = [
            _group(tree, [completion_of_node(node, self._decode) for node, _ in some])
            for tree, some in zip(trees, ended, strict=True)
        ]
        return [
            Picked(
                right=chosen([value for _, value in some], row, how),
                found=max((float(is_right(score)) for score in row), default=0.0),
                tokens=spent,
                ended=len(some),
            )
            for some, row, spent in zip(ended, self._grade(groups), tokens, strict=True)
        ]


def chosen(values: Sequence[float], scores: Sequence[Score], how: str) -> float:
    """How right the answer is that the values choose: of the chain worth most (``best``), or of the answer whose chains
    are worth most together (``vote``; a chain without an answer has none). Equal ones count their mean."""
    right = [float(is_right(score)) for score in scores]
    if how == "best":
        most = max(values, default=0.0)
        tied = [one for one, value in zip(right, values, strict=True) if value == most]
        return sum(tied) / len(tied) if tied else 0.0
    votes: dict[str, float] = {}
    best: dict[str, float] = {}
    for value, score, one in zip(values, scores, right, strict=True):
        if score.answer is not None:
            votes[score.answer] = votes.get(score.answer, 0.0) + value
            best[score.answer] = max(best.get(score.answer, 0.0), one)
    if not votes:
        return 0.0
    winners = [answer for answer, cast in votes.items() if math.isclose(cast, max(votes.values()))]
    return sum(best[answer] for answer in winners) / len(winners)


def summed_up(methods: dict[str, list[Picked]], clusters: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each method: ``accuracy`` with its ``interval``, ``found``, ``tokens`` and ``ended`` a problem."""
    table = {}
    for name, picked in methods.items():
        interval = mean_interval(np.array([one.right for one in picked]), clusters)
        table[name] = {
            "accuracy": interval.mean,
            "interval": [interval.low, interval.high],
            "found": _mean([one.found for one in picked]),
            "tokens": _mean([one.tokens for one in picked]),
            "ended": _mean([one.ended for one in picked]),
        }
    return table


def shape_of(trees: Sequence[Tree]) -> dict[str, float]:
    """How large the space is that the trees are cut out of, and what they hold of it.

    ``depth`` of ended chains; ``distinct_steps``: share of the steps drawn behind a node that no other equals (1: the
    cap cuts off ways that were there); ``chain_nats``: of an ended chain under the policy, so that there are about
    ``e`` to that power of them; ``nodes`` of a tree.
    """
    nodes = [node for tree in trees for node in tree.nodes()]
    ended = [node for node in nodes if node.ended]
    return {
        "depth": _mean([node.depth for node in ended]),
        "chain_nats": -_mean([node.logprob for node in ended]),
        "distinct_steps": sum(len(node.children or ()) for node in nodes) / max(1, sum(tree.drawn for tree in trees)),
        "nodes": len(nodes) / max(1, len(trees)),
    }


def _group(tree: Tree, some: Sequence[Completion]) -> Group:
    return Group(prompt=tree.prompt, prompt_ids=tree.prompt_ids, completions=tuple(some))


def _node(one: Completion, ends: Collection[int]) -> Node:
    """A whole chain in the shape that a valuer takes."""
    ended = bool(one.token_ids) and one.token_ids[-1] in ends
    return Node(one.token_ids, "", None, 1.0, 0, ended=ended)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
