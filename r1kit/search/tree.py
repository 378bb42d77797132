"""One problem's tree: which leaf PUCT walks to, and what comes back up. Host Python only; nothing is sampled here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from r1kit.records import Prompt

__all__ = ["Child", "Node", "Tree", "puct"]

DIGITS = 6
"""Of values and priors: rounding of sums in another batch is no reason to walk elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A step as it was drawn behind a node."""

    tokens: tuple[int, ...]
    logprob: float
    """Nats, of all of its tokens."""
    ended: bool
    """Its last token ends the chain."""


@dataclass(slots=True, eq=False)
class Node:
    """A prefix of a chain that ends with a step; the root is the empty one."""

    tokens: tuple[int, ...]
    """Of the whole chain so far, without the prompt."""
    name: str
    """Its place in the tree, ``.2.0``: what its random numbers hang on."""
    parent: Node | None
    prior: float
    depth: int
    logprob: float = 0.0
    """Nats, of the whole chain so far."""
    ended: bool = False
    failed: bool = False
    """It did not end within the limits, and goes on no more."""
    children: list[Node] | None = None
    """None: not expanded."""
    value: float | None = None
    """What it was found to be worth when it was reached first."""
    visits: int = 0
    total: float = 0.0
    """Sum of what came back through it."""
    pending: int = 0
    """Walks of this wave through it, each a loss for now."""

    @property
    def closed(self) -> bool:
        """Nothing comes behind it."""
        return self.ended or self.failed

    @property
    def mean(self) -> float:
        """Q: mean of what came back, walks under way counted as losses; 0 before the first."""
        count = self.visits + self.pending
        return self.total / count if count else 0.0


def puct(parent: Node, exploration: float) -> Node:
    """The child with the largest ``Q + c P sqrt(max(1, sum_b N_b)) / (1 + N)``; of equals the first.

    A child that no walk has reached has its parent's Q, so that a good parent's children are not passed over for being
    new. Under the root of the sum stands at least 1: the first walk goes by the prior.
    """
    assert parent.children
    total = sum(child.visits + child.pending for child in parent.children)
    spread = exploration * math.sqrt(max(1, total))
    return max(parent.children, key=lambda child: round(_score(child, parent, spread), DIGITS))


def _score(child: Node, parent: Node, spread: float) -> float:
    count = child.visits + child.pending
    return (child.mean if count else parent.mean) + spread * child.prior / (1 + count)


@dataclass(slots=True, eq=False)
class Tree:
    """What is known of one problem."""

    prompt: Prompt
    prompt_ids: tuple[int, ...]
    seed: int
    root: Node = field(default_factory=lambda: Node((), "", None, 1.0, 0))
    simulations: int = 0
    tokens: int = 0
    """Sampled for it in all, those of rollouts and of steps that were drawn twice included."""
    drawn: int = 0
    """Steps that were sampled."""

    def walk(self, exploration: float) -> Node | None:
        """Down to a leaf or an ended chain, leaving a virtual loss on the way; None where this wave is there already
        and there is something to be sampled or valued first."""
        node = self.root
        while node.children:
            node = puct(node, exploration)
        if node.pending and node.value is None:
            return None
        for each in lineage(node):
            each.pending += 1
        self.simulations += 1
        return node

    def back_up(self, leaf: Node, value: float) -> None:
        """Take the walk's virtual losses back and add what it found."""
        if leaf.value is None:
            leaf.value = round(value, DIGITS)
        for each in lineage(leaf):
            each.pending -= 1
            each.visits += 1
            each.total += leaf.value

    def expand(self, leaf: Node, drawn: Sequence[Child], *, uniform: bool, depth: int, max_tokens: int) -> None:
        """Put the steps behind a leaf: equal ones once, in the order they were drawn.

        Args:
            leaf: not expanded yet.
            drawn: at least one.
            uniform: priors all alike, in place of each step's share of the likelihood of all.
            depth: a chain of so many steps that has not ended fails.
            max_tokens: likewise, of so many tokens; a step is cut there.
        """
        room = max_tokens - len(leaf.tokens)
        steps: dict[tuple[int, ...], Child] = {}
        for child in drawn:
            steps.setdefault(child.tokens, child)
            self.tokens += len(child.tokens)
        self.drawn += len(drawn)
        most = max(child.logprob for child in steps.values())
        weights = [1.0 if uniform else math.exp(child.logprob - most) for child in steps.values()]
        whole = sum(weights)
        leaf.children = [
            Node(
                tokens=leaf.tokens + child.tokens[:room],
                name=f"{leaf.name}.{place}",
                parent=leaf,
                prior=round(weight / whole, DIGITS),
                depth=leaf.depth + 1,
                logprob=leaf.logprob + child.logprob,
                ended=child.ended and len(child.tokens) <= room,
                failed=not (child.ended and len(child.tokens) <= room)
                and (leaf.depth + 1 >= depth or len(child.tokens) >= room),
            )
            for place, (child, weight) in enumerate(zip(steps.values(), weights, strict=True))
        ]

    def nodes(self) -> Iterator[Node]:
        """Every node, parents before children."""
        todo = [self.root]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(reversed(node.children or ()))

    def ended(self) -> list[Node]:
        """Chains that ended, reached by a walk or not."""
        return [node for node in self.nodes() if node.ended]


def lineage(node: Node | None) -> Iterator[Node]:
    """The node and those above it."""
    while node is not None:
        yield node
        node = node.parent
