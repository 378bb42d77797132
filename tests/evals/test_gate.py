"""The base gate: a good base passes, each weakness has its own warning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from r1kit.evals.gate import Gate, GateConfig, base_gate
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.tasks.task import Claims

CLAIMS = Claims(valid="valid_numbers", keeping="use the given numbers rightly")


def chain(tries: int, right: int, claims: int = 1, valid: float = 1.0) -> dict[str, float]:
    return {"tries": tries, "answer_right": right, "claims_hit": claims, "valid_numbers": valid}


GOOD = [
    chain(0, 0, 0),
    chain(0, 0, 0),
    chain(1, 0, 0),
    chain(2, 1),
    chain(5, 1),
    chain(6, 1),
    chain(4, 1),
    chain(8, 0, 0),
]


def gate(
    diagnostics: Sequence[Mapping[str, float]] | None,
    rights: Sequence[Sequence[int]] = ((1, 0, 0, 0, 0, 0, 0, 0),),
    form: float = 1.0,
    config: GateConfig | None = None,
) -> Gate:
    completion = Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text="", finish="stop")
    groups = [
        Group(
            prompt=Prompt(id=f"p{index}", task="t", question="?"), prompt_ids=(), completions=(completion,) * len(row)
        )
        for index, row in enumerate(rights)
    ]
    scores = [[Score(total=right, parts={"accuracy": right, "format": form}) for right in row] for row in rights]
    return base_gate(groups, scores, None if diagnostics is None else [diagnostics] * len(rights), config, CLAIMS)


def test_a_good_base_passes_with_its_table() -> None:
    result = gate(GOOD)
    assert result.passed
    table = {row.style: (row.tries, row.share, row.accuracy, row.tokens) for row in result.styles}
    assert table == {
        "terse": ("0", 2 / 8, 0.0, 2.0),
        "short": ("1", 1 / 8, 0.0, 2.0),
        "few": ("2-3", 1 / 8, 1.0, 2.0),
        "long": ("4+", 4 / 8, 0.75, 2.0),
    }
    assert result.measures["correct_given_claim"] == 1.0
    assert result.measures["valid_numbers"] == 1.0
    assert result.by_tries["4-6"] == {"accuracy": 1.0, "count": 3}
    assert json.loads(json.dumps(result.as_json()))["passed"] is True


@pytest.mark.parametrize(
    ("diagnostics", "message"),
    [
        ([{**each, "valid_numbers": 0.5} for each in GOOD], "only 50% of answers use the given numbers rightly"),
        ([{**each, "claims_hit": 1} for each in GOOD], None),
        (
            [chain(5, 0), chain(5, 0), *GOOD[2:4], chain(5, 1), chain(0, 0), chain(5, 0), chain(4, 0)],
            "cannot tell a hit",
        ),
        ([{**each, "claims_hit": 0} for each in GOOD], "no chain claims a hit"),
        ([chain(0, 1), chain(0, 1), *GOOD[2:]], "RL would choose guessing"),
        ([chain(1, 1)] * 8, "only 0.0% of chains make 4 tries or more"),
    ],
)
def test_each_weakness_of_reasoning_has_its_warning(
    diagnostics: Sequence[Mapping[str, float]], message: str | None
) -> None:
    warnings = gate(diagnostics).warnings
    assert len(warnings) == (message is not None)
    assert message is None or message in warnings[0]


def test_flat_groups_warn_with_a_cure_that_fits() -> None:
    hard = gate(None, rights=[(0, 0)] * 19 + [(1, 0)])
    assert (
        "only 5% of groups have both right and wrong completions (wanted: 10%; 95% are all wrong)" in hard.warnings[0]
    )
    assert "train the base longer or make the task easier" in hard.warnings[0]
    easy = gate(None, rights=[(1, 1)] * 19 + [(1, 0)])
    assert "too easy for this base" in easy.warnings[0]
    assert gate(None, rights=[(0, 0)] * 9 + [(1, 0)]).passed


def test_a_form_that_is_never_sampled_warns() -> None:
    result = gate(None, form=0.5)
    assert result.measures["format_reach"] == 0.0
    assert "the asked form occurs in only 0% of groups" in result.warnings[0]


def test_a_generic_task_gets_the_generic_part_alone() -> None:
    result = gate(None)
    assert (result.styles, result.by_tries, result.passed) == ((), {}, True)
    assert set(result.measures) == {
        "accuracy",
        "mixed_groups_share",
        "all_wrong_share",
        "all_right_share",
        "format_rate",
        "format_reach",
        "truncated_share",
    }


def test_thresholds_are_settings() -> None:
    assert not gate(GOOD, config=GateConfig(least_long=0.6)).passed


# ---- a model of somebody else's, before the first RL stage ----------------------------------------------------------


def of_a_named_model(rights: Sequence[Sequence[int]], form: float = 1.0, cut: float = 0.0) -> Gate:
    """No diagnostics, as most tasks have none; the first ``cut`` of each group's completions are cut short."""
    groups, scores = [], []
    for index, row in enumerate(rights):
        completions = tuple(
            Completion(
                token_ids=(1, 2), logprobs=(0.0, 0.0), text="", finish="length" if at < cut * len(row) else "stop"
            )
            for at in range(len(row))
        )
        prompt = Prompt(id=f"p{index}", task="mine", question="?")
        groups.append(Group(prompt=prompt, prompt_ids=(), completions=completions))
        scores.append([Score(total=right, parts={"accuracy": right, "format": form}) for right in row])
    return base_gate(groups, scores, named=True)


def test_a_named_model_with_mixed_groups_passes_without_diagnostics() -> None:
    found = of_a_named_model([(1, 0), (0, 0), (1, 1)])
    assert found.passed
    assert found.styles == ()
    assert found.measures["mixed_groups_share"] == pytest.approx(1 / 3)
    assert found.measures["truncated_share"] == 0.0


def test_a_named_model_is_not_told_to_be_trained_longer() -> None:
    """All wrong, no form, half and more cut: a line each, that names what a recipe can change."""
    found = of_a_named_model([(0, 0, 0, 0), (0, 0, 0, 0)], form=0.0, cut=0.75)
    assert found.measures["truncated_share"] == 0.75
    cut, mixed, form = found.warnings
    assert cut.startswith("75% of completions are cut at their longest")
    assert "sampling.max_tokens" in cut
    assert mixed.startswith("only 0% of groups have both right and wrong completions (wanted: 10%; 100% are all wrong)")
    assert "model.template" in mixed
    assert "cold_start" in mixed
    assert "longer" not in mixed
    assert "model.template.suffix" in form
    assert "reward.format_style" in form


def test_a_task_that_is_too_easy_is_told_so() -> None:
    (warning,) = of_a_named_model([(1, 1), (1, 1)]).warnings
    assert warning.endswith("the task is too easy for this base: make it harder")
