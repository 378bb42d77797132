"""The scorer: what reward models add to a rule's reward, and where the rule alone counts."""

from __future__ import annotations

import pytest
from evals.evaluating import Rules, learned, scorer_of

from r1kit.records import Completion, Group, Prompt


def group(task: str, *texts: str) -> Group:
    completions = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
    return Group(prompt=Prompt(id=task, task=task, question="0"), prompt_ids=(1,), completions=completions)


def test_a_reward_model_s_score_times_its_weight_is_added_and_kept_as_a_part() -> None:
    """``helpful``: right earns nothing, form .25; "yes" is 3 characters, so .3 of the model, weighed .5."""
    scorer = scorer_of(Rules({"helpful": 0.0}), learned("helpful"), weight=0.5)
    scores = scorer.score([group("maths", "yes", "no"), group("helpful", "yes", "n"), group("maths", "y")])
    totals = [[score.total for score in row] for row in scores]
    assert totals[0] == [1.25, 0.25]
    assert totals[1] == pytest.approx([0.25 + 0.5 * 0.3, 0.25 + 0.5 * 0.1])
    assert totals[2] == [1.25]
    assert scores[1][0].parts == {"accuracy": 1.0, "format": 1.0, "preference": 0.3}, "the model's own, not weighed"
    assert [set(score.parts) for score in (*scores[0], *scores[2])] == [{"accuracy", "format"}] * 3
    assert scores[1][0].answer == "yes"
    assert scorer.read() == {7: 4}, "3 and 1 characters, by a model of 7 parameters"
    assert scorer.read() == {7: 0}, "counted once"


def test_without_reward_models_the_rule_alone_counts() -> None:
    scores = scorer_of().score([group("helpful", "yes")])
    assert (scores[0][0].total, "preference" in scores[0][0].parts) == (1.25, False)
    assert scorer_of(models=learned("helpful")).score([]) == []
