"""The batched search against one that walks one leaf of one problem at a time, on a scripted engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from loops.tiny import SHAPE, fresh

from r1kit.records import Completion, Group, Prompt, Sampling, Score
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.rollout.streams import stream_seed
from r1kit.search.compare import chosen, compare, shape_of
from r1kit.search.controls import chains, paid_for
from r1kit.search.explore import Place, grown, planted
from r1kit.search.settings import Search
from r1kit.search.steps import Steps
from r1kit.search.tree import Tree
from r1kit.search.value import Agreement, RolloutValue, Ruled

CONFIG = Search(
    simulations=24, children=3, at_once=1, depth=4, max_tokens=30, steps=Steps(marks=(".",), most=9), exploration=0.7
)


def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
    """One of a few steps, sometimes the last one."""
    drawn = stream_seed(seed, row) % 7
    return ["a.", "bb.", "ccc.", "d", "e.f", "a.", ""][drawn]


def worth(tokens: Sequence[int]) -> float:
    return stream_seed("worth", *tokens) % 1000 / 1000


class Hashed:
    """A valuer that needs no model, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def values(self, places: Sequence[Place]) -> list[float]:
        self.calls += 1
        return [worth(tree.prompt_ids + node.tokens) for tree, node in places]


def trees_of(count: int) -> list[Tree]:
    prompts = [Prompt(id=f"p{number}", task="t", question=chr(65 + number)) for number in range(count)]
    return planted(prompts, lambda prompt: [ord(prompt.question)], lambda place: stream_seed("search", place))


def told(tree: Tree) -> list[tuple[str, int, float]]:
    return [(node.name, node.visits, round(node.total, 9)) for node in tree.nodes()]


def reference(tree: Tree, config: Search) -> dict[str, tuple[int, float]]:
    """The same search the slow way: a table of what is known of each prefix, one simulation after the other."""
    known: dict[str, dict[str, Any]] = {"": {"tokens": (), "ended": False, "failed": False, "n": 0, "w": 0.0}}
    prior: dict[str, float] = {}
    behind: dict[str, list[str]] = {}
    engine = ScriptedEngine(script)
    for _ in range(config.simulations):
        path = [""]
        while path[-1] in behind:
            parent, kids = known[path[-1]], behind[path[-1]]
            mean = parent["w"] / parent["n"]
            spread = config.exploration * math.sqrt(max(1, sum(known[kid]["n"] for kid in kids)))
            scores = [
                round(
                    (known[kid]["w"] / known[kid]["n"] if known[kid]["n"] else mean)
                    + spread * prior[kid] / (1 + known[kid]["n"]),
                    6,
                )
                for kid in kids
            ]
            path.append(kids[scores.index(max(scores))])
        name, leaf = path[-1], known[path[-1]]
        if leaf["n"] == 0 and not leaf["ended"] and not leaf["failed"]:
            sampling = Sampling(n=config.children, max_tokens=9, stop=(".",))
            drawn = engine.generate(
                [tree.prompt_ids + leaf["tokens"]], sampling, [stream_seed(tree.seed, "step", name)]
            )
            unique = list(dict.fromkeys(one.token_ids for one in drawn[0]))
            behind[name] = [f"{name}.{place}" for place in range(len(unique))]
            for kid, tokens in zip(behind[name], unique, strict=True):
                whole = leaf["tokens"] + tokens
                ended = tokens[-1] == 0
                known[kid] = {"tokens": whole, "ended": ended, "n": 0, "w": 0.0,
                              "failed": not ended and kid.count(".") >= config.depth}  # fmt: skip
                prior[kid] = round(1 / len(unique), 6)
        value = 0.0 if leaf["failed"] else round(worth(tree.prompt_ids + leaf["tokens"]), 6)
        for each in path:
            known[each]["n"] += 1
            known[each]["w"] += value
    return {name: (int(one["n"]), round(float(one["w"]), 9)) for name, one in known.items()}


def test_many_problems_at_once_equal_one_leaf_at_a_time() -> None:
    """The scripted steps all have log-prob 0, so priors are alike."""
    trees, engine = trees_of(12), ScriptedEngine(script)
    waves = grown(trees, CONFIG, engine, Hashed(), {0})
    assert waves == 24
    assert len(engine.calls) <= waves, "one engine call a wave, for all problems"
    for tree in trees:
        assert {name: (visits, total) for name, visits, total in told(tree)} == reference(tree, CONFIG)
        assert (tree.root.visits, tree.root.pending) == (24, 0)
        assert tree.tokens == sum(len(text) for text in _sampled(engine, tree))


def _sampled(engine: ScriptedEngine, tree: Tree) -> list[tuple[int, ...]]:
    """Every step that was drawn for a problem, the same calls asked again."""
    again = ScriptedEngine(script)
    found = []
    for prompts, sampling, seeds in engine.calls:
        mine = [place for place, prompt in enumerate(prompts) if prompt[0] == tree.prompt_ids[0]]
        drawn = again.generate([prompts[place] for place in mine], sampling, [seeds[place] for place in mine])
        found += [one.token_ids for row in drawn for one in row]
    return found


def test_several_leaves_a_wave_are_the_same_whoever_shares_the_wave() -> None:
    config = replace(CONFIG, at_once=5)
    together, engine = trees_of(8), ScriptedEngine(script)
    valuer = Hashed()
    waves = grown(together, config, engine, valuer, {0})
    assert waves < 24
    assert valuer.calls == waves
    for place, tree in enumerate(trees_of(8)):
        grown([tree], config, ScriptedEngine(script), Hashed(), {0})
        assert told(tree) == told(together[place])
    backwards = trees_of(8)[::-1]
    grown(backwards, config, ScriptedEngine(script), Hashed(), {0})
    assert [told(tree) for tree in backwards[::-1]] == [told(tree) for tree in together]


def grade(groups: Sequence[Group]) -> list[list[Score]]:
    """Right where the text ends in ``d``; the answer is its last letter."""
    return [
        [
            Score(total=0.0, parts={"accuracy": float(one.text.endswith("d"))}, answer=one.text[-1:] or None)
            for one in group.completions
        ]
        for group in groups
    ]


def decode(tokens: Sequence[int]) -> str:
    return CodePoints().decode([token for token in tokens if token])


def test_the_rule_judges_what_has_ended_and_the_model_the_rest() -> None:
    trees = trees_of(4)
    grown(trees, CONFIG, ScriptedEngine(script), Ruled(Hashed(), grade, decode), {0})
    judged = [(tree, node) for tree in trees for node in tree.nodes() if node.visits]
    assert {node.ended for _, node in judged} == {True, False}
    for tree, node in judged:
        right = float(decode(node.tokens).endswith("d"))
        assert node.value == (right if node.ended else 0.0 if node.failed else worth(tree.prompt_ids + node.tokens))


def test_rollouts_are_one_call_for_prefixes_of_a_length_and_are_paid_for() -> None:
    engine = ScriptedEngine(script)
    trees = trees_of(5)
    value = RolloutValue(engine, replace(CONFIG, rollouts=2), {0}, decode, lambda groups: [
        [float(score.parts["accuracy"]) for score in row] for row in grade(groups)
    ])  # fmt: skip
    found = value.values([(tree, tree.root) for tree in trees])
    assert len(engine.calls) == 1
    assert set(found) <= {0.0, 0.5, 1.0}
    seeds = engine.calls[0][2]
    for tree, worth_, seed in zip(trees, found, seeds, strict=True):
        texts = [script(tree.prompt_ids, seed, row) for row in range(2)]
        assert worth_ == sum(text.endswith("d") for text in texts) / 2
        assert tree.tokens == sum(len(text) + 1 for text in texts)


def test_agreement_is_the_share_of_the_problems_chains() -> None:
    """Chains of one problem end in d, d, a, then d, nothing: 3 of 4 votes for d, 1 of 4 for a."""
    tree = trees_of(1)[0]

    def group(*texts: str) -> Group:
        done = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
        return Group(prompt=tree.prompt, prompt_ids=(1,), completions=done)

    agreed = Agreement(grade)
    assert agreed([group("xd", "yd", "a")]) == [[2 / 3, 2 / 3, 1 / 3]]
    assert agreed([group("d", "")]) == [[3 / 4, 0.0]]


def test_what_the_budget_pays_for() -> None:
    tree = trees_of(1)[0]

    def paid(budget: int, *lengths: int) -> int:
        tree.tokens = budget
        many = [Completion(token_ids=(1,) * n, logprobs=(0.0,) * n, text="", finish="stop") for n in lengths]
        return paid_for(tree, many)

    assert paid(12, 5, 4, 3, 9) == 3
    assert paid(11, 5, 4, 3, 9) == 2
    assert paid(1, 5, 4) == 1, "the first is always drawn"
    assert paid(99, 5, 4) == 2
    trees = trees_of(3)
    for tree, tokens in zip(trees, (1, 40, 200), strict=True):
        tree.tokens = tokens
    drawn = chains(trees, Sampling(n=2, max_tokens=9), ScriptedEngine(script))
    for tree, some in zip(trees, drawn, strict=True):
        assert sum(len(one.token_ids) for one in some) >= tree.tokens
        assert len(some) % 8 == 0


def test_the_controls_spend_what_the_search_did() -> None:
    trees = trees_of(6)
    found = compare(
        trees, CONFIG, Sampling(n=2, max_tokens=30), ScriptedEngine(script), Hashed(), grade, decode, {0}
    )  # fmt: skip
    assert set(found.methods) == {"search", "majority", "best_of_n", "weighted", "beam"}
    for place, tree in enumerate(trees):
        spent = {name: rows[place].tokens for name, rows in found.methods.items()}
        assert spent["search"] == tree.tokens
        assert tree.tokens - 30 <= spent["majority"] <= tree.tokens, "a chain more would pass it"
        assert spent["majority"] == spent["best_of_n"] == spent["weighted"]
        assert tree.tokens <= spent["beam"] <= tree.tokens + 3 * 3 * 9, "it ends with the step that passes it"
    assert all(len(group.completions) == 2 for group in found.groups)


@pytest.mark.parametrize(
    ("values", "how", "expected"),
    [
        ([0.9, 0.2, 0.3], "best", 1.0),
        ([0.2, 0.9, 0.3], "best", 0.0),
        ([0.7, 0.7, 0.3], "best", 0.5),
        ([0.6, 0.2, 0.5], "vote", 0.0),
        ([0.8, 0.2, 0.5], "vote", 1.0),
        ([], "best", 0.0),
    ],
)
def test_the_answer_that_is_chosen(values: list[float], how: str, expected: float) -> None:
    """d is right; .6 against .2 + .5 for a, or .8 against .7."""
    scores = [Score(total=0.0, parts={"accuracy": float(one == "d")}, answer=one) for one in "daa"][: len(values)]
    assert chosen(values, scores, how) == expected


def test_the_shape_of_a_tree() -> None:
    tree = trees_of(1)[0]
    grown([tree], replace(CONFIG, simulations=1), ScriptedEngine(["a", "b", "c", "d"]), Hashed(), {0})
    children = len(tree.root.children or ())
    found = shape_of([tree])
    assert found == {
        "depth": 1.0,
        "chain_nats": pytest.approx(math.log(4)),
        "distinct_steps": pytest.approx(children / 3),
        "nodes": 1.0 + children,
    }


def test_a_models_trees_are_the_same_alone_and_together() -> None:
    """Priors and steps of a real decoder, whose batches round otherwise: rounding to six digits keeps the walks."""
    engine = LocalEngine(fresh(SHAPE), CodePoints(), end_ids=[0])
    config = replace(CONFIG, at_once=3, steps=Steps(marks=("\x05", "\x07"), most=6))

    def planted_trees() -> list[Tree]:
        prompts = [Prompt(id=f"p{number}", question=str(number)) for number in range(5)]
        return planted(prompts, lambda prompt: [1 + int(prompt.question), 3], lambda place: place)

    together = planted_trees()
    grown(together, config, engine, Hashed(), {0})
    for place, tree in enumerate(planted_trees()):
        grown([tree], config, engine, Hashed(), {0})
        assert told(tree) == told(together[place])
        assert [node.tokens for node in tree.nodes()] == [node.tokens for node in together[place].nodes()]
    assert any(len({child.prior for child in tree.root.children or ()}) > 1 for tree in together)
