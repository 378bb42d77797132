"""PUCT, back-up and the cap on a small tree, worked by hand."""

from __future__ import annotations

import math

import pytest

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.search.settings import Search
from r1kit.search.steps import Steps
from r1kit.search.tree import Child, Node, Tree, puct


def tree_of() -> Tree:
    return Tree(Prompt(id="p", question="?"), (1, 2), 7)


def step(*tokens: int, p: float = 0.5, ended: bool = False) -> Child:
    return Child(tokens=tokens, logprob=math.log(p), ended=ended)


def expand(tree: Tree, node: Node, *drawn: Child, uniform: bool = False, depth: int = 9, max_tokens: int = 99) -> None:
    tree.expand(node, drawn, uniform=uniform, depth=depth, max_tokens=max_tokens)


def test_three_walks_by_hand() -> None:
    """Priors .5, .3, .2 and c = 1; the root is worth .6, the first child .2, the second 1.

    Walk 2: Q is the root's .6 for all, the prior decides. Walk 3 (N = 1, 0, 0; root's mean .4): .2 + .5 / 2 = .45,
    .4 + .3 = .7, .4 + .2 = .6. Walk 4 (N = 1, 1, 0; root's mean .6; sqrt 2): .554, 1 + 1.414 * .3 / 2 = 1.212,
    .6 + 1.414 * .2 = .883.
    """
    tree = tree_of()
    root = tree.walk(1.0)
    assert root is tree.root
    expand(tree, root, step(3, p=0.5), step(4, p=0.3), step(5, p=0.2))
    tree.back_up(root, 0.6)
    first, second, third = root.children or ()
    assert [child.prior for child in (first, second, third)] == [0.5, 0.3, 0.2]
    assert tree.walk(1.0) is first
    tree.back_up(first, 0.2)
    assert root.mean == pytest.approx(0.4)
    assert tree.walk(1.0) is second
    tree.back_up(second, 1.0)
    assert (root.visits, root.total, root.pending) == (3, pytest.approx(1.8), 0)
    assert puct(root, 1.0) is second
    assert puct(root, 0.0) is second, "without exploration the best Q"
    assert puct(root, 9.0) is first, "with much of it the prior: .2 + 12.73 * .25 = 3.38, 2.91 and 3.15"


def test_a_virtual_loss_sends_the_next_walk_elsewhere() -> None:
    tree = tree_of()
    root = tree.walk(1.0)
    assert root is not None
    assert tree.walk(1.0) is None, "the root is being expanded"
    expand(tree, root, step(3, p=0.5), step(4, p=0.4))
    tree.back_up(root, 0.5)
    first, second = root.children or ()
    # the second walk: the first child has N = 1, Q = 0: 0 + 5/9 / 2 = .28; the other, with Q of a root of .5 / 2, .69
    assert (tree.walk(1.0), tree.walk(1.0)) == (first, second)
    tree.back_up(first, 1.0)
    tree.back_up(second, 0.0)
    assert [(node.visits, node.total, node.pending) for node in (root, first, second)] == [
        (3, 1.5, 0), (1, 1.0, 0), (1, 0.0, 0),
    ]  # fmt: skip


def test_equal_steps_are_one_child_and_all_their_tokens_are_paid_for() -> None:
    tree = tree_of()
    expand(tree, tree.root, step(3, 4), step(5), step(3, 4), step(3, 4), uniform=True)
    assert [child.tokens for child in tree.root.children or ()] == [(3, 4), (5,)]
    assert [child.prior for child in tree.root.children or ()] == [0.5, 0.5]
    assert (tree.tokens, tree.drawn) == (7, 4)


def test_a_chain_that_does_not_end_in_time_fails() -> None:
    tree = tree_of()
    expand(tree, tree.root, step(3, 4, 5), step(6, 7, 8, 0, ended=True), step(9, 0, ended=True), max_tokens=3)
    cut, late, whole = tree.root.children or ()
    assert [(node.ended, node.failed, len(node.tokens)) for node in (cut, late, whole)] == [
        (False, True, 3), (False, True, 3), (True, False, 2),
    ]  # fmt: skip
    deep = tree_of()
    expand(deep, deep.root, step(3), depth=1)
    assert (deep.root.children or [deep.root])[0].failed


@pytest.mark.parametrize(
    "settings", [{"simulations": 0}, {"children": 0}, {"temperature": 0.0}, {"steps": Steps(marks=("x",))}]
)
def test_what_cannot_work_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="search"):
        Search(**settings)  # type: ignore[arg-type]
