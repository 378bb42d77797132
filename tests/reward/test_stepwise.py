"""A process reward model beside the rules: scores of steps ride on the score, and none of them is paid."""

from __future__ import annotations

import pytest
from evals.evaluating import ByPlace, Rules, scorer_of

from r1kit.maths.step_scores import Aggregate
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.stepwise import Stepwise
from r1kit.rollout.scripted import CodePoints
from r1kit.search.steps import Cutter, Steps


def group(task: str, *texts: str) -> Group:
    completions = [
        Completion(token_ids=tuple(map(ord, text)), logprobs=(0.0,) * len(text), text=text, finish="stop")
        for text in texts
    ]
    return Group(prompt=Prompt(task=task, question="?"), prompt_ids=(1, 1), completions=tuple(completions))


def stepwise(told: Aggregate = "sum") -> Stepwise:
    return Stepwise(ByPlace(), Cutter(CodePoints(), Steps(marks=(".",))), frozenset(("maths",)), told)


def test_steps_ride_on_the_score_and_the_rules_alone_are_paid() -> None:
    """``y.a`` ends steps at 2 and 3, behind 2 tokens of the prompt; another task is left alone, nothing without a token
    has a step."""
    scorer = scorer_of(Rules(), stepwise())
    found = scorer.score([group("maths", "y.a", "n", ""), group("other", "y.a")])
    assert [score.steps for score in found[0]] == [((2, 0.04), (3, 0.05)), ((1, 0.03),), ()]
    assert [score.total for score in found[0]] == [1.25, 0.25, 0.25]
    assert "preference" not in found[0][0].parts
    assert found[1][0].steps == ()
    assert scorer.read() == {7: 5 + 3 + 2}


@pytest.mark.parametrize(("told", "expected"), [("sum", [0.09, 0.03]), ("min", [0.04, 0.03]), ("mean", [0.045, 0.03])])
def test_what_the_watch_is_told_of_a_completion(told: Aggregate, expected: list[float]) -> None:
    scorer = scorer_of(Rules(), stepwise(told))
    assert scorer.model_scores([group("maths", "y.a", "n")]) == [pytest.approx(expected)]
    assert scorer.model_scores([group("other", "y.a", "n")]) == [[]]
