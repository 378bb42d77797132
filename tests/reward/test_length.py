"""The part ``length``: known once a group is judged, paid by its weight, nothing to what is wrong."""

from __future__ import annotations

import pytest

from r1kit.errors import InputError
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.reward.length import with_length
from r1kit.reward.rule import RewardConfig
from r1kit.reward.verifier import Verifier

PAID = RewardConfig(parts={"accuracy": 1.0, "format": 0.2, "length": 0.5})
PROMPT = Prompt(
    id="p",
    task="countdown",
    question="use 7 1 5 make 34",
    answer="7 * 5 - 1",
    facts={"numbers": [7, 1, 5], "target": 34},
)


def group(*sampled: tuple[str, int]) -> Group:
    completions = tuple(
        Completion(token_ids=(0,) * tokens, logprobs=(0.0,) * tokens, text=text, finish="stop")
        for text, tokens in sampled
    )
    return Group(prompt=PROMPT, prompt_ids=(), completions=completions)


def test_by_hand() -> None:
    scores = [
        Score(total=1.2, parts={"accuracy": 1.0, "format": 1.0, "length": 0.0}),
        Score(total=1.2, parts={"accuracy": 1.0, "format": 1.0, "length": 0.0}),
        Score(total=0.2, parts={"accuracy": 0.0, "format": 1.0, "length": 0.0}),
        Score(total=0.0, parts={"accuracy": 1.0}, status="timeout"),
    ]
    asked = group(("", 10), ("", 30), ("", 5), ("", 1))
    found = with_length(asked, scores, PAID)
    assert [score.total for score in found] == pytest.approx([1.45, 0.95, 0.2, 0.0])
    assert [score.parts.get("length") for score in found] == [0.5, -0.5, 0.0, None]
    assert with_length(asked, scores, RewardConfig()) == scores


@pytest.mark.parametrize("submitted", [False, True])
def test_a_verifier_compares_a_group_however_it_is_asked(submitted: bool) -> None:
    right, wrong = "<think> a </think> <answer> 7 * 5 - 1 </answer>", "<think> a </think> <answer> 7 + 1 </answer>"
    asked = group((right, 8), (wrong, 2), (right, 12), (right, 10))
    with Verifier({"countdown": ("countdown", {})}, {"countdown": PAID}) as verifier:
        scores = verifier.submit(asked).result() if submitted else verifier.score_groups([asked])[0]
    assert [score.total for score in scores] == pytest.approx([1.45, 0.2, 0.95, 1.2])


def test_a_wrong_rule_is_told() -> None:
    from r1kit.structure import structure

    with pytest.raises(InputError, match="length_rule = 'rihgt'"):
        structure(RewardConfig, {"length_rule": "rihgt"}, "reward")
