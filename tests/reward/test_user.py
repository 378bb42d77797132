"""A user's functions: three shapes told apart by their parameters, what they are given, what they may give."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark
from r1kit.reward.user import UnfilledError, UserReward, WrongLengthError

PROMPT = Prompt(
    id="sums/train/3", task="sums", question="2 + 3?", answer="5", language="de", facts={"target": 5, "hint": None}
)
JOBS = (Job(7, "is it 5", "stop", 3), Job(8, "no", "length", 60))


def marks(function: Any, jobs: tuple[Job, ...] = JOBS) -> list[Mark]:
    return UserReward(function, "mine.py:f")(PROMPT, jobs)


def values(function: Any) -> list[float | None]:
    return [mark.value for mark in marks(function)]


# ---- one completion at a time -----------------------------------------------------------------------------------


def test_prompt_and_completion_are_texts_that_carry_more() -> None:
    def f(prompt: Any, completion: Any) -> float:
        assert (prompt, prompt.question, prompt.answer, prompt.facts["target"]) == ("2 + 3?", "2 + 3?", "5", 5)
        assert (prompt.language, prompt.id, prompt.task) == ("de", "sums/train/3", "sums")
        assert completion.text == completion
        assert isinstance(prompt, str)
        return float(len(completion) + completion.tokens / 100 + (completion.finish == "length"))

    assert values(f) == [pytest.approx(7.03), pytest.approx(3.6)]


def test_further_parameters_are_filled_by_name() -> None:
    def f(
        completion: str, answer: str, target: int, finish: str, *, task: str, hint: object, scale: float = 2.0
    ) -> float:
        assert (task, hint) == ("sums", None)
        return scale * (answer in completion) * target + (finish == "length")

    assert values(f) == [10.0, 1.0]


def test_several_answers_come_by_name_and_a_column_of_that_name_before_them() -> None:
    def f(completion: str, answers: list[str]) -> float:
        return float("".join(answers))

    def verl(solution_str: str, data_source: str, ground_truth: str, extra_info: dict[str, Any]) -> float:
        return float(ground_truth + "".join(extra_info["answers"]))

    prompt = replace(PROMPT, also=("6",))
    assert [UserReward(each, "mine.py:f")(prompt, JOBS)[0].value for each in (f, verl)] == [56, 556]
    own = replace(prompt, facts={"answers": ["7"]})
    assert [UserReward(each, "mine.py:f")(own, JOBS)[0].value for each in (f, verl)] == [7, 57]


def test_what_a_function_uses_up_is_its_own() -> None:
    prompt = replace(PROMPT, facts={"numbers": [7, 1], "more": {"seen": []}})

    def plain(completion: str, numbers: list[int], more: dict[str, list[int]]) -> float:
        more["seen"].append(numbers.pop())
        return float(len(numbers) + len(more["seen"]))

    def trl(completions: list[str], prompts: list[Any], numbers: list[list[int]], **rest: Any) -> list[float]:
        assert prompts[0].facts["numbers"] is not numbers[1]
        return [float(len(each) + each.pop()) for each in numbers]

    assert [mark.value for mark in UserReward(plain, "mine.py:f")(prompt, JOBS)] == [2.0, 2.0]
    assert [mark.value for mark in UserReward(trl, "mine.py:f")(prompt, JOBS)] == [3.0, 3.0]
    assert prompt.facts == {"numbers": [7, 1], "more": {"seen": []}}


def test_any_keyword_gets_all_there_is() -> None:
    def f(completion: str, **rest: Any) -> float:
        return float(len(rest))

    names = {"prompt", "answer", "language", "task", "id", "question", "finish", "tokens", "target", "hint"}
    names |= {"completion_ids", "answers"}
    assert values(f) == [len(names)] * 2


def test_a_parameter_that_nothing_fills_is_named_with_what_there_is() -> None:
    def f(prompt: str, completion: str, targt: int) -> float:
        return 0.0

    with pytest.raises(
        UnfilledError,
        match=r"^mine.py:f asks for 'targt'; there are target, hint, answer, .*completion. Did you mean 'target'\?$",
    ):
        marks(f)


def test_a_mapping_is_its_score_and_the_rest_is_logged() -> None:
    scored = UserReward(lambda completion: {"score": 0.5, "words": 3, "why": "short"}, "m.py:f")(PROMPT, JOBS[:1])
    assert scored == [Mark(0.5, {"words": 3.0})]
    assert marks(lambda completion: {"reward": 1, "a": 2.0}, JOBS[:1]) == [Mark(1.0, {"a": 2.0})]
    assert marks(lambda completion: {"a": 2.0, "b": 0.25, "c": None}, JOBS[:1]) == [Mark(2.25, {"a": 2.0, "b": 0.25})]
    assert marks(lambda completion: {"score": None, "a": 1}, JOBS[:1]) == [Mark(None, {"a": 1.0})]
    with pytest.raises(InputError, match=r"mine\.py:f gave str 'x'; a reward is a number"):
        marks(lambda completion: {"a": 2.0, "b": "x"}, JOBS[:1])


def test_numbers_of_numpy_and_torch_beside_a_score_are_logged() -> None:
    given = {"score": torch.tensor(0.5), "tried": torch.tensor(3.0), "hit": np.bool_(True), "text": "no number"}
    assert marks(lambda completion: given)[0] == Mark(0.5, {"tried": 3.0, "hit": 1.0})


def test_none_abstains() -> None:
    assert values(lambda prompt, completion: None) == [None, None]


# ---- TRL's and verl's -------------------------------------------------------------------------------------------


def test_trl_s_shape_is_called_once_for_the_group_with_columns() -> None:
    calls = []

    def f(prompts: list[str], completions: list[str], **columns: list[Any]) -> list[float | None]:
        calls.append((prompts, completions, columns))
        return [
            float(len(completion)) if finish == "stop" else None
            for completion, finish in zip(completions, columns["finish"], strict=True)
        ]

    assert values(f) == [7.0, None]
    ((prompts, completions, columns),) = calls
    assert (prompts, completions) == (["2 + 3?"] * 2, ["is it 5", "no"])
    assert columns["answer"] == ["5", "5"]
    assert columns["target"] == [5, 5]
    assert columns["task"] == ["sums", "sums"]
    assert columns["tokens"] == [3, 60]


def test_trl_s_shape_with_named_columns_and_without_prompts() -> None:
    def f(completions: list[str], answer: list[str], scale: float = 1.0) -> list[float]:
        return [scale * (right in text) for text, right in zip(completions, answer, strict=True)]

    assert values(f) == [1.0, 0.0]


@pytest.mark.parametrize("given", [[1.0], [1.0, 2.0, 3.0], []])
def test_a_list_of_another_length_is_never_broadcast(given: list[float]) -> None:
    with pytest.raises(WrongLengthError, match=rf"^mine.py:f gave {len(given)} values for 2 completions"):
        marks(lambda prompts, completions: given)


def test_trl_s_first_example_asks_for_token_ids_alone() -> None:
    def reward_func(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        return [float(len(ids)) for ids in completion_ids]

    jobs = (Job(7, "is it 5", "stop", 3, (4, 5, 6)), Job(8, "no", "length", 1, (9,)))
    assert [mark.value for mark in marks(reward_func, jobs)] == [3.0, 1.0]


def test_verl_s_shape() -> None:
    def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> dict[str, Any]:
        assert (data_source, extra_info["target"], extra_info["question"]) == ("sums", 5, "2 + 3?")
        right = ground_truth in solution_str
        return {"score": float(right), "acc": int(right), "pred": "5"}

    assert marks(compute_score) == [Mark(1.0, {"acc": 1.0}), Mark(0.0, {"acc": 0.0})]
    assert values(lambda solution_str, ground_truth, method="strict": 0.5) == [0.5, 0.5]


def test_a_truth_value_is_a_number_as_for_verl() -> None:
    assert values(lambda solution_str, ground_truth: solution_str == "nothing") == [0.0, 0.0]
    assert marks(lambda completion: {"score": True, "acc": False})[0] == Mark(1.0, {"acc": 0.0})
    assert values(lambda completions, **columns: [True, False]) == [1.0, 0.0]


def test_a_data_set_of_verl_s_brings_its_own_source_and_extra_info() -> None:
    prompt = Prompt(
        id="a",
        task="mine",
        question="2 + 3?",
        answer="5",
        facts={"data_source": "openai/gsm8k", "extra_info": {"n": 7}},
    )

    def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
        assert (data_source, extra_info["n"], extra_info["task"]) == ("openai/gsm8k", 7, "mine")
        return 1.0

    assert UserReward(compute_score, "mine.py:f")(prompt, [Job(0, "5", "stop", 1)])[0].value == 1.0


# ---- what is refused --------------------------------------------------------------------------------------------


class Several:
    """One number as numpy and torch have it: no shape, and ``item``."""

    shape = ()

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (math.nan, "mine.py:f gave nan; a reward is a finite number, or None to abstain"),
        (-math.inf, "mine.py:f gave -inf; a reward is a finite number, or None to abstain"),
        (10**400, "mine.py:f gave inf; a reward is a finite number, or None to abstain"),
        ("1.0", "mine.py:f gave str '1.0'; a reward is a number, or None to abstain"),
        ([1.0], "mine.py:f gave list [1.0]; a reward is a number, or None to abstain"),
        (Several(math.nan), "mine.py:f gave nan; a reward is a finite number, or None to abstain"),
    ],
)
def test_what_is_no_reward_is_one_line(given: Any, line: str) -> None:
    with pytest.raises(InputError) as told:
        marks(lambda prompt, completion: given)
    assert str(told.value) == line
    assert values(lambda completion: Several(0.25)) == [0.25, 0.25]


def test_a_number_beside_a_reward_that_is_beyond_any_float_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^mine\.py:f gave x = inf; what is beside a reward is finite"):
        marks(lambda prompt, completion: {"reward": 1.0, "x": 10**400})


@pytest.mark.parametrize("given", ["ab", {"a": 1, "b": 2}, 0.5, None, ["1", "2"], [math.nan, 0.0]])
def test_what_is_no_list_of_rewards_is_one_line(given: Any) -> None:
    with pytest.raises(InputError, match=r"^mine\.py:f gave "):
        marks(lambda prompts, completions, **columns: given)


async def waits(prompt: str, completion: str) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (waits, "mine.py:f is async; a reward is a plain function"),
        (lambda text: 0.0, "mine.py:f is not a reward"),
        (lambda: 0.0, "mine.py:f is not a reward"),
        (Several, "not a function"),
        (0.5, "mine.py:f is float 0.5, not a function"),
    ],
)
def test_what_has_none_of_the_shapes_is_shown_all_three(function: Any, line: str) -> None:
    with pytest.raises(InputError, match=line) as told:
        UserReward(function, "mine.py:f")
    for shape in ("f(prompt, completion)", "f(prompts, completions, **columns)", "f(data_source, solution_str"):
        assert shape in str(told.value)
