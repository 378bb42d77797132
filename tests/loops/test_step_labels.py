"""Labels of steps on a scripted engine, worked by hand; what is learnt of them; what they choose."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.loops.best_of import Ranked, accuracies, weighted
from r1kit.loops.step_labels import Labeller
from r1kit.loops.step_training import items_of, read_labels, split, summed_up, with_replay
from r1kit.records import Completion, Group, Prompt, Sampling, Score
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.search.steps import Cutter, Steps


class RightIfX:
    """A completion is right if its last character is an x."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score_groups(self, groups: list[Group]) -> list[list[Score]]:
        self.seen += [one.text for group in groups for one in group.completions]
        return [
            [Score(total=0.0, parts={"accuracy": float(one.text.endswith("x"))}) for one in group.completions]
            for group in groups
        ]


def completion(text: str, *, ended: bool = True) -> Completion:
    tokens = tuple(ord(c) for c in text) + ((0,) if ended else ())
    return Completion(token_ids=tokens, logprobs=(0.0,) * len(tokens), text=text, finish="stop" if ended else "length")


def labeller(script: Any, rollouts: int = 2, most: int = 20) -> Labeller:
    cut = Cutter(CodePoints(), Steps(marks=(".",)))
    sampling = Sampling(n=9, max_tokens=most)
    return Labeller(
        engine=ScriptedEngine(script), verifier=RightIfX(), tokenizer=CodePoints(), cut=cut,  # type: ignore[arg-type]
        ends=frozenset((0,)), sampling=sampling, rollouts=rollouts,
    )  # fmt: skip


def test_labels_by_rollouts_from_each_prefix() -> None:
    """``a.`` comes right in the second of two rollouts, ``a.b.`` in none, ``c.`` in both; ``a.`` is shared."""

    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        text = "".join(map(chr, prompt))
        return {"?a.": ["n", "x"], "?a.b.": ["n", "n"], "?c.": ["x", "x"]}[text][row]

    own = labeller(script)
    group = Group(
        prompt=Prompt(task="t", question="?", cluster="k"),
        prompt_ids=(ord("?"),),
        completions=(completion("a.b.x"), completion("a.n"), completion("c.x"), completion("xx"), completion("")),
    )
    lines, tokens = own.label([group], [7])
    assert [line["ends"] for line in lines] == [[2, 4, 6], [2, 4], [2, 4], [3], [1]]
    assert [line["hits"] for line in lines] == [[[0, 1], [0, 0]], [[0, 1]], [[1, 1]], [], []]
    assert [line["right"] for line in lines] == [1, 0, 1, 1, 0]
    assert tokens == 3 * 2 * 2  # three prefixes, two rollouts, a character and the end token each
    assert sum(len(prompts) for prompts, _, _ in own.engine.calls) == 3  # type: ignore[attr-defined]
    assert own.verifier.seen[:2] == ["c.x", "c.x"] or "a.x" in own.verifier.seen  # type: ignore[attr-defined]
    assert (lines[0]["task"], lines[0]["cluster"], lines[0]["prompt_ids"]) == ("t", "k", [63])


def test_a_rollout_has_the_room_that_the_solution_had() -> None:
    """7 tokens in all: behind ``a.`` five, so four characters and the end; a longer one is cut, and wrong."""

    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        return ["yyyx", "yyyyx"][row]

    group = Group(prompt=Prompt(question="?"), prompt_ids=(63,), completions=(completion("a.x"),))
    lines, _ = labeller(script, most=7).label([group], [1])
    assert lines[0]["hits"] == [[1, 0]]


LINES = [
    {
        "cluster": "k", "prompt_ids": [1, 1], "token_ids": [5, 6, 7, 8], "ends": [1, 3, 4],
        "hits": [[0, 1, 0, 0], [0] * 4], "right": 1,
    },
]  # fmt: skip


def test_what_a_reward_model_learns_of_a_solution() -> None:
    (hard,), (soft,) = items_of(LINES, "process", "hard"), items_of(LINES, "process", "soft")
    assert hard.rows == ((1, 1, 5, 6, 7, 8),)
    assert hard.ends == soft.ends == (3, 5, 6)
    assert (hard.labels, soft.labels) == ((1.0, 0.0, 1.0), (0.25, 0.0, 1.0))
    (last,) = items_of(LINES, "outcome", "hard")
    assert (last.ends, last.labels) == ((6,), (1.0,))


def test_labels_are_read_back_whole_or_not_at_all(tmp_path: Path) -> None:
    """A cluster is a question where a task names none: it may hold any line separator but a line feed."""
    labelled = [{"cluster": f"one\u2028two\x85{number}", "hits": [[1]]} for number in range(2)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in labelled)
    (tmp_path / "labels.jsonl").write_text(text)
    (tmp_path / "result.json").write_text('{"solutions": 2}')
    assert read_labels(tmp_path) == labelled
    for torn in (text[: text.index("\n") + 1], text[:-9]):
        (tmp_path / "labels.jsonl").write_text(torn)
        with pytest.raises(InputError, match=r"labels\.jsonl is damaged: 1 solutions of 2; copy .* or delete"):
            read_labels(tmp_path)


def test_solutions_of_one_cluster_are_on_one_side() -> None:
    lines = [{"cluster": str(place // 4)} for place in range(400)]
    learnt, held = split(lines, 0.2)
    assert len(learnt) + len(held) == 400
    assert not {line["cluster"] for line in learnt} & {line["cluster"] for line in held}
    assert 40 <= len(held) <= 120
    with pytest.raises(InputError, match=r"4 labelled solutions are of 1 problems.*raise labels\.prompts"):
        split(lines[:4], 0.2)


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_of_few_problems_one_is_on_either_side(share: float) -> None:
    lines = [{"cluster": str(place % 3)} for place in range(12)]
    assert sorted(map(len, split(lines, share))) == [4, 8]


def test_replay_is_its_share_of_all() -> None:
    new, old = [{"n": place} for place in range(90)], [{"o": place} for place in range(50)]
    mixed = with_replay(new, old, 0.1, seed=1)
    assert mixed[:90] == new
    assert len(mixed) == 100
    assert all(line in old for line in mixed[90:])
    assert with_replay(new, old, 0.0, seed=1) == new
    assert len(with_replay(new, old[:3], 0.1, seed=1)) == 93


def test_how_well_steps_are_told() -> None:
    """Good .9 and .4, bad .6 and .1: two of four are on their side of a half; the good beat the bad in 3 of 4 pairs."""
    found = summed_up([0.9, 0.4, 0.6, 0.1], [True, True, False, False], [1.0, 0.5, 0.0, 0.0])
    assert found["accuracy"] == 0.5
    assert found["usual"] == 0.5
    assert found["auc"] == 0.75
    assert found["brier"] == pytest.approx((0.01 + 0.01 + 0.36 + 0.01) / 4)
    assert math.isnan(summed_up([0.5], [True], [1.0])["auc"])


def test_auc_against_all_pairs() -> None:
    rng = Random(1)
    for _ in range(30):
        scores = [rng.choice([0.1, 0.2, 0.3]) for _ in range(20)]
        good = [True, False, *(rng.random() < 0.4 for _ in range(18))]
        pairs = [(a, b) for (a, x), (b, y) in product(zip(scores, good, strict=True), repeat=2) if x and not y]
        expected = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
        assert summed_up(scores, good, scores)["auc"] == pytest.approx(expected)


# ---- best of N ------------------------------------------------------------------------------------------------------

ONE = Ranked(
    right=[0.0, 1.0, 0.0, 1.0],
    answers=["a", "b", "a", "b"],
    steps=[[0.9, 0.8], [0.9, 0.5], [1.0, 0.1], [0.2, 0.95]],
    outcome=[0.1, 0.3, 0.2, 0.4],
)


def test_who_is_chosen_among_n() -> None:
    """Least step: .8 (wrong), .5, .1, .2; last step: .8, .5, .1, .95. Two runs of two: 1 and 2, then 3 and 4."""
    found = accuracies([ONE], (1, 2, 4), "min")
    chosen = {name: [rows[0] for rows in by_n.values()] for name, by_n in found.items()}
    assert chosen["average"] == [0.5, 0.5, 0.5]
    assert chosen["majority"] == [0.5, 0.5, 0.5]  # a draw each time
    assert chosen["outcome"] == [0.5, 1.0, 1.0]
    assert chosen["process"] == [0.5, 0.5, 0.0]
    assert chosen["process_last"] == [0.5, 0.5, 1.0]
    assert chosen["any"] == [0.5, 1.0, 1.0]
    assert chosen["process_majority"] == [0.5, 0.5, 0.0]  # .8 + .1 for a, .5 + .2 for b
    assert "process_min" not in chosen


def test_votes_are_weighed() -> None:
    assert weighted(["a", "b", "b", None], [1.0, 0.0, 0.0, 0.0], [0.9, 0.3, 0.3, 5.0]) == 1.0
    assert weighted(["a", "b", "b"], [1.0, 0.0, 0.0], [0.5, 0.3, 0.3]) == 0.0
    assert weighted([None, None], [0.0, 0.0], [1.0, 1.0]) == 0.0
    assert weighted(["a", "b"], [1.0, 0.0], [0.5, 0.5]) == 0.5


def test_against_a_plain_reference_on_random_samples() -> None:
    rng = Random(2)
    for _ in range(20):
        steps = [[rng.random() for _ in range(rng.randint(1, 4))] for _ in range(8)]
        right = [float(rng.random() < 0.4) for _ in range(8)]
        one = replace(ONE, right=right, steps=steps, outcome=[row[-1] for row in steps], answers=list("abababab"))
        for n in (1, 2, 3, 8):
            expected = []
            for first in range(0, 8 - n + 1, n):
                best = max(range(first, first + n), key=lambda place: math.prod(steps[place]))
                expected.append(right[best])
            found = accuracies([one], (n,), "product")
            assert found["process"][n] == [pytest.approx(sum(expected) / len(expected))]
