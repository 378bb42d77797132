"""What a prefix of a chain is worth: by a value model, by chains drawn from it, by nothing; and by the rule, once it
has ended and the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from r1kit.records import Completion, Group, Sampling, Score
from r1kit.rollout.engine import Engine
from r1kit.rollout.streams import stream_seed
from r1kit.search.explore import Place, Valuer
from r1kit.search.settings import Search
from r1kit.search.tree import Node, Tree

if TYPE_CHECKING:
    from r1kit.model.reward_model import RewardModel

__all__ = ["Agreement", "Grade", "ModelValue", "NoValue", "RolloutValue", "Ruled", "completion_of_node", "is_right"]

Grade = Callable[[Sequence[Group]], Sequence[Sequence[Score]]]
"""What the rules say of completions: ``Verifier.score_groups``."""
Decode = Callable[[Sequence[int]], str]
"""Ids of a completion, end token and all -> its text without the end token."""


def is_right(score: Score) -> bool:
    return score.parts.get("accuracy", 0.0) >= 1.0


def completion_of_node(node: Node, decode: Decode) -> Completion:
    """The chain that ends here, as the rules read one."""
    return Completion(
        token_ids=node.tokens,
        logprobs=(0.0,) * len(node.tokens),
        text=decode(node.tokens),
        finish="stop" if node.ended else "length",
    )


class NoValue:
    """One half, whatever it is: the search goes by the prior alone."""

    def values(self, places: Sequence[Place]) -> list[float]:
        """See ``Valuer``."""
        return [0.5] * len(places)


class ModelValue:
    """A value model's probability that the chain ends right."""

    def __init__(self, model: RewardModel, budget: int = 16384) -> None:
        """``budget``: most tokens in one forward pass, padding counted."""
        self.model, self._budget = model, budget

    def values(self, places: Sequence[Place]) -> list[float]:
        """See ``Valuer``."""
        return self.of_rows([tree.prompt_ids + node.tokens for tree, node in places])

    def of_rows(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """Of prompts with the beginnings of chains behind them."""
        if not rows:
            return []
        read = [row_of(row, self.model.pad) for row in rows]
        return [1.0 / (1.0 + math.exp(-value)) for value in self.model.logits_of(read, self._budget)]


def row_of(row: Sequence[int], pad: int) -> tuple[int, ...]:
    """A row whose last token is no padding: that is the one the score is read off."""
    last = len(row)
    while last > 1 and row[last - 1] == pad:
        last -= 1
    return tuple(row[:last])


class Ruled:
    """Ended chains by the rule, which knows the answer (in training); the others by another valuer."""

    def __init__(self, inner: Valuer, grade: Grade, decode: Decode) -> None:
        self._inner, self._grade, self._decode = inner, grade, decode

    def values(self, places: Sequence[Place]) -> list[float]:
        """See ``Valuer``."""
        ended = [(tree, node) for tree, node in places if node.ended]
        groups = [_group(tree, [completion_of_node(node, self._decode)]) for tree, node in ended]
        right = {
            id(node): float(is_right(row[0]))
            for (_, node), row in zip(ended, self._grade(groups) if groups else (), strict=True)
        }
        rest = [place for place in places if not place[1].ended]
        found = {id(node): value for (_, node), value in zip(rest, self._inner.values(rest), strict=True)}
        return [{**found, **right}[id(node)] for _, node in places]


class RolloutValue:
    """The mean worth of chains that the policy draws from a prefix to their end, all prefixes in one call."""

    def __init__(
        self, engine: Engine, config: Search, ends: Collection[int], decode: Decode,
        worth: Callable[[Sequence[Group]], list[list[float]]],
    ) -> None:  # fmt: skip
        """``worth``: of whole chains, for example by the rule, or by ``Agreement``."""
        self._engine, self._config, self._ends, self._decode, self._worth = (
            engine,
            config,
            frozenset(ends),
            decode,
            worth,
        )

    def values(self, places: Sequence[Place]) -> list[float]:
        """See ``Valuer``; a chain that has ended is worth what it is."""
        open_ = [(tree, node) for tree, node in places if not node.ended]
        drawn = iter(self._drawn(open_))
        groups = [
            _group(tree, [completion_of_node(node, self._decode)] if node.ended else next(drawn))
            for tree, node in places
        ]
        return [sum(row) / len(row) for row in self._worth(groups)] if groups else []

    def _drawn(self, places: Sequence[Place]) -> list[list[Completion]]:
        """Whole chains behind each place. Prefixes of about one length go together, so that how far a chain may go
        hangs on its own prefix alone, and none passes the positions that a step behind the longest chain needs."""
        found: dict[int, list[Completion]] = {}
        config, most = self._config, self._config.steps.most
        for bucket in sorted({len(node.tokens) // most for _, node in places}):
            some = [(tree, node) for tree, node in places if len(node.tokens) // most == bucket]
            room = max(1, config.max_tokens - bucket * most)
            sampling = Sampling(n=config.rollouts, max_tokens=room, temperature=config.temperature)
            prompts = [tree.prompt_ids + node.tokens for tree, node in some]
            seeds = [stream_seed(tree.seed, "rollout", node.name) for tree, node in some]
            for (tree, node), drawn in zip(some, self._engine.generate(prompts, sampling, seeds), strict=True):
                tree.tokens += sum(len(one.token_ids) for one in drawn)
                found[id(node)] = [self._whole(node, one) for one in drawn]
        return [found[id(node)] for _, node in places]

    def _whole(self, node: Node, tail: Completion) -> Completion:
        tokens = node.tokens + tail.token_ids
        kept = len(tokens) <= self._config.max_tokens and bool(tail.token_ids) and tail.token_ids[-1] in self._ends
        return Completion(
            token_ids=tokens,
            logprobs=(0.0,) * len(tokens),
            text=self._decode(tokens),
            finish="stop" if kept else "length",
        )


class Agreement:
    """Without the answer: a chain is worth the share of its problem's chains so far that give the answer it gives."""

    def __init__(self, grade: Grade) -> None:
        self._grade = grade
        self._votes: dict[str, dict[str, int]] = {}

    def __call__(self, groups: Sequence[Group]) -> list[list[float]]:
        found = self._grade(groups) if groups else []
        for group, row in zip(groups, found, strict=True):
            votes = self._votes.setdefault(group.prompt.id, {})
            for score in row:
                if score.answer is not None:
                    votes[score.answer] = votes.get(score.answer, 0) + 1
        shares = []
        for group, row in zip(groups, found, strict=True):
            votes = self._votes[group.prompt.id]
            cast = sum(votes.values())
            shares.append([votes[score.answer] / cast if score.answer is not None else 0.0 for score in row])
        return shares


def _group(tree: Tree, completions: Sequence[Completion]) -> Group:
    return Group(prompt=tree.prompt, prompt_ids=tree.prompt_ids, completions=tuple(completions))
