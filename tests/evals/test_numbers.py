"""Evaluation numbers, worked out by hand."""

from __future__ import annotations

import dataclasses
import json

import pytest

from r1kit.errors import InputError, R1Error
from r1kit.evals.numbers import (
    Diagnostics,
    accuracy_by_tries,
    correct_given,
    diagnostic,
    numbers,
)
from r1kit.evals.otherwise import told_otherwise
from r1kit.evals.settings import EvaluationConfig
from r1kit.evals.thinking import easy_tokens, is_easy
from r1kit.records import Completion, Group, Prompt, Score


def score(answer: str | None, right: float, form: float = 1.0, language: float = 1.0) -> Score:
    return Score(total=right, parts={"accuracy": right, "format": form, "language": language}, answer=answer)


def group(problem: str, lengths: list[int], texts: list[str] | None = None, cut: tuple[int, ...] = ()) -> Group:
    completions = tuple(
        Completion(
            token_ids=(0,) * length,
            logprobs=(0.0,) * length,
            text=(texts or [""] * len(lengths))[index],
            finish="length" if index in cut else "stop",
        )
        for index, length in enumerate(lengths)
    )
    return Group(prompt=Prompt(id=problem, task="t", question="?"), prompt_ids=(), completions=completions)


def test_a_whole_evaluation_by_hand() -> None:
    groups = [
        group("p0", [10, 20, 30, 40], ["wait, no. wait", "butter", "检查 x", ""], cut=(3,)),
        group("p1", [50, 60, 70, 80], ["However", "", "", ""]),
    ]
    scores = [
        [score("a", 1), score("a", 1, language=0.5), score("b", 0, form=0), score(None, 0, form=0, language=0.25)],
        [score("c", 0, language=0.0), score("c", 0), score("d", 1), score("e", 0, form=0.5)],
    ]
    scores[1][3] = dataclasses.replace(scores[1][3], status="timeout")
    line = numbers(groups, scores, budgets=(15, 20, 100))
    assert line["avg_at_k"] == pytest.approx(3 / 8)
    assert line["cons_at_k"] == 0.5
    assert line["pass_at_k"] == 1.0
    assert line["response_tokens"] == 45.0
    assert line["format_rate"] == pytest.approx(5 / 8)
    assert line["accuracy_given_format"] == pytest.approx(3 / 5)
    assert line["accuracy_under_budget"] == {"15": 1 / 8, "20": 2 / 8, "100": 3 / 8}
    assert line["truncated_share"] == 1 / 8
    assert line["failed_share"] == 1 / 8
    assert line["mixed_groups_share"] == 1.0
    assert line["language_consistency"] == pytest.approx((1 + 0.5 + 1 + 0.25 + 0 + 1 + 1 + 1) / 8)
    assert line["language_per_problem"] == [0.6875, 0.75]
    assert line["language_interval"] == [0.6875, 0.75]
    assert line["mixed_share"] == 2 / 8
    assert line["reflection_rate"] == pytest.approx(3 / 8)
    assert line["reflection_words"] == {"however": 1 / 8, "wait": 2 / 8, "检查": 1 / 8}
    assert (line["task"], line["k"], line["problems"], line["clusters"]) == ("t", 4, 2, 2)
    assert line["interval"] == [0.25, 0.5]  # two clusters at .5 and .25: means .25, .375, .5
    assert line["by_language"] == {
        "en": {"problems": 2, "avg_at_k": 3 / 8, "language_consistency": pytest.approx(5.75 / 8)}
    }
    assert line["solved_tokens"] == (10 + 20 + 70) / 3
    assert line["solved_tokens_per_problem"] == [15.0, 70.0]
    assert json.loads(json.dumps(line)) == line


def test_consistency_by_the_language_of_the_question() -> None:
    groups = [group("p0", [1, 1]), group("p1", [1, 1]), group("p2", [1, 1])]
    groups[1] = dataclasses.replace(groups[1], prompt=Prompt(id="p1", task="t", question="?", language="ko"))
    groups[2] = dataclasses.replace(groups[2], prompt=Prompt(id="p2", task="t", question="?", language="ko"))
    unmeasured = Score(total=1.0, parts={"accuracy": 1.0})
    scores = [[score("a", 1), score("b", 0)], [score("a", 1, language=0.5), unmeasured], [unmeasured, score("b", 0)]]
    assert numbers(groups, scores)["by_language"] == {
        "en": {"problems": 1, "avg_at_k": 0.5, "language_consistency": 1.0},
        "ko": {"problems": 2, "avg_at_k": 0.75, "language_consistency": 0.75},
    }


def test_a_task_that_grades_nothing_has_no_accuracy_in_any_language() -> None:
    groups = [group("p0", [1]), group("p1", [1])]
    groups[1] = dataclasses.replace(groups[1], prompt=Prompt(id="p1", task="t", question="?", language="zh"))
    scores = [[Score(total=0.0, parts={"language": 1.0}, abstained=("accuracy",))]] * 2
    line = numbers(groups, scores)
    assert line["avg_at_k"] is None
    assert {one["avg_at_k"] for one in line["by_language"].values()} == {None}
    said = told_otherwise({**line, "model": "m"})
    assert said == [f"questions in {name}: 1, language consistency 1.000" for name in ("en", "zh")]


def test_tokens_of_a_solved_easy_problem_by_hand() -> None:
    groups = [group(f"p{place}", lengths) for place, lengths in enumerate([[10, 20], [40, 60], [5, 9], [7, 8]])]
    rights = [(1, 1), (1, 0), (0, 0), (1, 1)]
    scores = [[score("a", right) for right in row] for row in rights]
    line = numbers(groups, scores)
    assert line["solved_tokens_per_problem"] == [15.0, 40.0, None, 7.5]
    easy = is_easy([one.prompt for one in groups], line["per_problem"], EvaluationConfig(easy_rate=1.0))
    assert easy == [True, False, False, True]
    assert easy_tokens(line, easy) == (15 + 7.5) / 2
    assert easy_tokens(line, [False, False, True, False]) is None


def test_a_problem_may_say_itself_how_hard_it_is() -> None:
    def levelled(level: object) -> Prompt:
        return Prompt(id="p", task="t", question="?", facts={} if level is None else {"level": level})

    config = EvaluationConfig(easy_fact="level", easy_most=2.0)
    assert is_easy([levelled("Level 1"), levelled(3), levelled(2)], [0.0, 1.0, 0.0], config) == [True, False, True]
    for wrong in (None, "hard"):
        with pytest.raises(InputError, match="easy_fact = 'level': problem p of t has no such number"):
            is_easy([levelled(wrong)], [1.0], config)
    with pytest.raises(InputError, match="easy_rate = 0; allowed is above 0"):
        EvaluationConfig(easy_rate=0)


def test_diagnostics_skip_what_is_missing_or_nan() -> None:
    groups = [group("p", [1, 1, 1, 1])]
    scores = [[score("a", 1), score("a", 1), score("b", 0), score("b", 0)]]
    nan = float("nan")
    diagnostics: Diagnostics = [
        [{"tries": 1.0, "claims_hit": 1.0}, {"tries": 5, "claims_hit": 1}, {"tries": 4, "claims_hit": 1}, {"x": nan}]
    ]
    line = numbers(groups, scores, diagnostics)
    assert line["diagnostics"] == {"claims_hit": 1.0, "tries": pytest.approx(10 / 3), "x": None}
    assert line["correct_given_claim"] == pytest.approx(2 / 3)
    assert line["accuracy_by_tries"] == {
        "0": {"accuracy": None, "count": 0},
        "1": {"accuracy": 1.0, "count": 1},
        "2-3": {"accuracy": None, "count": 0},
        "4-6": {"accuracy": 0.5, "count": 2},
        "7+": {"accuracy": None, "count": 0},
    }


def test_answers_out_of_form_count_for_the_diagnostics_alone() -> None:
    scores = [[score(None, 0, form=0), score(None, 0, form=0), score("a", 1)]]
    diagnostics: Diagnostics = [
        [
            {"tries": 1, "claims_hit": 1, "answer_right": 1},
            {"tries": 1, "claims_hit": 1, "answer_right": float("nan")},
            {"tries": 1, "claims_hit": 0, "answer_right": 1},
        ]
    ]
    line = numbers([group("p", [1, 1, 1])], scores, diagnostics)
    assert line["avg_at_k"] == pytest.approx(1 / 3)
    assert line["correct_given_claim"] == 1.0
    assert line["accuracy_by_tries"]["1"] == {"accuracy": pytest.approx(2 / 3), "count": 3}


def test_a_task_without_diagnostics_says_nothing_about_tries() -> None:
    empty = diagnostic([[{}, {}]], "tries")
    assert accuracy_by_tries(empty, empty) == {}
    assert correct_given(empty, empty) is None


def test_partial_credit_is_not_right() -> None:
    assert numbers([group("p", [1])], [[score("a", 0.5)]])["avg_at_k"] == 0.0


def test_all_right_gives_a_point_interval_and_no_mixed_groups() -> None:
    groups = [group(f"p{index}", [1, 1]) for index in range(5)]
    line = numbers(groups, [[score("a", 1)] * 2] * 5)
    assert (line["interval"], line["cons_interval"], line["mixed_groups_share"]) == ([1.0, 1.0], [1.0, 1.0], 0.0)


def test_scores_of_another_length_are_refused() -> None:
    with pytest.raises(R1Error, match="1 rewards were given for the 2 completions of p"):
        numbers([group("p", [1, 1])], [[score("a", 1)]])


def test_the_final_protocol_is_the_papers() -> None:
    final = EvaluationConfig.final(k=64)
    assert (final.k, final.split, final.top_p, final.temperature) == (64, "test", 0.95, 0.6)
    assert (EvaluationConfig().temperature, EvaluationConfig().split) == (1.0, "dev")
    with pytest.raises(InputError, match="an evaluation's k = 0: must be at least 1"):
        EvaluationConfig(k=0)
