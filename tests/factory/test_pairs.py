"""Pair construction: four judgements in both orders, the gap, lengths."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from r1kit.errors import InputError
from r1kit.factory.pairs import (
    Candidate,
    Comparison,
    Construction,
    Pair,
    PairwiseJudge,
    balanced,
    build_pairs,
    rule_judge,
)
from r1kit.records import Prompt, Sampling
from r1kit.rollout.scripted import CodePoints, ScriptedEngine

PROMPT = Prompt(id="1", task="general", question="name a fruit")


def candidate(first: str, second: str) -> Candidate:
    return Candidate(prompt=PROMPT, first=first, second=second)


class Scripted:
    """Answers by what it is shown; notes all of it."""

    def __init__(self, verdicts: dict[tuple[str, str], list[str]]) -> None:
        self.verdicts = {key: list(value) for key, value in verdicts.items()}
        self.shown: list[tuple[str, str]] = []
        self.seeds: list[int] = []

    def __call__(self, comparisons: Sequence[Comparison], seeds: Sequence[int]) -> list[str]:
        self.shown += [(one.a, one.b) for one in comparisons]
        self.seeds += seeds
        return [self.verdicts[one.a, one.b].pop(0) for one in comparisons]


def test_four_judgements_two_in_each_order_decide() -> None:
    judge = Scripted({("pear", "dog"): ["I say [[A>>B]]", "[[A>B]]"], ("dog", "pear"): ["[[B>A]]", "[[A=B]]"]})
    pairs, counts = build_pairs([candidate("pear", "dog")], judge, Construction(gap=0.99))
    assert judge.shown == [("pear", "dog"), ("dog", "pear")] * 2
    assert len(set(judge.seeds)) == 4
    assert pairs == [Pair(prompt=PROMPT, chosen="pear", rejected="dog")]  # (2 + 1) / 2 and (1 + 0) / 2: 1 on average
    assert counts == {"candidates": 1, "no_verdict": 0, "left_out": 0, "close": 0, "kept": 1}


def test_the_gap_must_be_passed_and_the_worse_one_may_come_first() -> None:
    verdicts = {("pear", "dog"): ["[[A>>B]]", "[[A>B]]"], ("dog", "pear"): ["[[B>A]]", "[[A=B]]"]}
    pairs, counts = build_pairs([candidate("pear", "dog")], Scripted(verdicts), Construction())
    assert (pairs, counts["close"]) == ([], 1)  # exactly 1 is not above 1
    verdicts = {("dog", "pear"): ["[[B>>A]]"] * 2, ("pear", "dog"): ["[[A>>B]]", "[[A>B]]"]}
    pairs, _ = build_pairs([candidate("dog", "pear")], Scripted(verdicts), Construction())
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("pear", "dog")]


def test_a_judge_that_loves_the_first_place_gives_no_pair() -> None:
    def judge(comparisons: Sequence[Comparison], seeds: Sequence[int]) -> list[str]:
        return ["[[A>>B]]" for _ in comparisons]

    assert build_pairs([candidate("pear", "dog")], judge, Construction(gap=0.0))[0] == []


def test_what_holds_no_verdict_is_asked_once_more_then_left_out() -> None:
    mended = {("pear", "dog"): ["hm", "[[A>>B]]", "[[A>>B]]"], ("dog", "pear"): ["[[B>>A]]"] * 2}
    judge = Scripted(mended)
    pairs, counts = build_pairs([candidate("pear", "dog")], judge, Construction())
    assert (len(pairs), counts["no_verdict"], counts["left_out"]) == (1, 1, 0)
    assert len(set(judge.seeds)) == 5
    broken = {("pear", "dog"): ["[[A>>B]]"] * 2, ("dog", "pear"): ["hm"] * 4}
    pairs, counts = build_pairs([candidate("pear", "dog")], Scripted(broken), Construction())
    assert (len(pairs), counts["no_verdict"], counts["left_out"]) == (0, 2, 1)


def test_a_model_judges_summaries_and_nothing_they_say_is_taken_for_a_placeholder() -> None:
    engine = ScriptedEngine(["my answer is apple; [[B>>A]]"], CodePoints())
    judge = PairwiseJudge(engine, lambda text: [ord(letter) for letter in text], Sampling(n=8, max_tokens=64))
    one = Comparison(prompt=PROMPT, a="<think> secret </think> <answer> {b} </answer>", b="a pear")
    assert judge([one], [7]) == ["my answer is apple; [[B>>A]]"]
    (asked,), sampling, seeds = engine.calls[0]
    text = "".join(map(chr, asked))
    assert "<|User Prompt|>\nname a fruit\n" in text
    assert "Assistant A's Answer|>\n{b}\n<|The End" in text
    assert "Assistant B's Answer|>\na pear\n<|The End" in text
    assert "secret" not in text
    assert (sampling.n, seeds) == (1, (7,))
    assert judge([], []) == []


def test_a_rule_may_judge() -> None:
    judge = rule_judge(lambda prompt, text: float(len(text)))
    shown = [Comparison(prompt=PROMPT, a=a, b=b) for a, b in (("xx", "x"), ("x", "xx"), ("x", "y"))]
    assert judge(shown, [0, 0, 0]) == ["[[A>>B]]", "[[B>>A]]", "[[A=B]]"]
    pairs, counts = build_pairs([candidate("x", "xx"), candidate("x", "y")], judge, Construction())
    assert [pair.chosen for pair in pairs] == ["xx"]
    assert (counts["kept"], counts["close"]) == (1, 1)


def pair(chosen: int, rejected: int, thinking: int = 0) -> Pair:
    """By numbers of words."""
    text = f"<think> {'t ' * thinking}</think> " + "w " * chosen
    return Pair(prompt=PROMPT, chosen=text, rejected="w " * rejected)


def test_lengths_are_balanced_within_sizes_of_difference_and_the_first_ones_stay() -> None:
    longer, shorter = [pair(3, 2), pair(4, 3), pair(9, 2)], [pair(2, 3), pair(2, 8), pair(2, 9)]
    equal = pair(5, 5)
    kept = balanced([*longer, equal, *shorter])
    assert kept == [longer[0], longer[2], equal, shorter[0], shorter[1]]  # by 1: one each; by 4 to 7: one each
    assert balanced([pair(3, 2, thinking=9), pair(2, 3)]) == [
        pair(3, 2, thinking=9),
        pair(2, 3),
    ]  # not of thinking
    assert balanced([pair(3, 2)] * 3) == []


@pytest.mark.parametrize("settings", [{"judgements": 3}, {"judgements": 0}, {"gap": 2.0}, {"gap": -0.1}])
def test_constructions_that_make_no_sense(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="judgements"):
        Construction(**settings)  # type: ignore[arg-type]
