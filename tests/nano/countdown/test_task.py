import math

import pytest

from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.nano.countdown.problems import multisets
from r1kit.nano.countdown.task import final_answer
from r1kit.records import Prompt

TASK = Countdown("numbers", CountdownConfig())
PROMPT = Prompt(id="x", task="numbers", question="use 7 1 5 make 34", facts={"numbers": [7, 1, 5], "target": 34})


def test_grade_by_hand() -> None:
    assert TASK.grade(PROMPT, "5 * 7 - 1").correct == 1
    assert TASK.grade(PROMPT, "5 * 7 - 1").canonical == "7 * 5 - 1"
    assert TASK.grade(PROMPT, "7 * 5 - 1 = 34").correct == 1
    assert TASK.grade(PROMPT, "7 + 1 * 5").correct == 0
    assert TASK.grade(PROMPT, "34").correct == 0
    assert TASK.grade(PROMPT, "").correct == 0


def test_held_out_sets() -> None:
    for split, size, clusters in (("test", 158, 79), ("dev", 96, 24)):
        prompts = TASK.held_out(split)
        assert len(prompts) == len({prompt.id for prompt in prompts}) == size
        assert len({(prompt.cluster, prompt.facts["target"]) for prompt in prompts}) == size
        held = {" ".join(map(str, multiset)) for multiset in multisets(TASK.config, split)}
        assert {prompt.cluster for prompt in prompts} == held
        assert len({prompt.cluster for prompt in TASK.held_out(split, limit=clusters)}) == clusters
        for prompt in prompts:
            assert prompt.answer is not None
            assert TASK.grade(prompt, prompt.answer).correct == 1
    other = Countdown("numbers", CountdownConfig(seed=7))
    assert other.held_out("test") == TASK.held_out("test")


def test_train_is_a_pure_function_and_never_held_out() -> None:
    prompts = [TASK.train(index) for index in range(3000)]
    held = {prompt.cluster for split in ("dev", "test") for prompt in TASK.held_out(split)}
    assert held.isdisjoint(prompt.cluster for prompt in prompts)
    assert prompts[17] == Countdown("numbers", CountdownConfig()).train(17)
    assert prompts[:20] != [Countdown("numbers", CountdownConfig(seed=1)).train(index) for index in range(20)]
    chinese = next(prompt for prompt in prompts if prompt.language == "zh")
    words = chinese.question.split()
    assert (words[0], words[-2], len(words)) == ("用", "得", 6)


def test_diagnose_by_hand() -> None:
    text = (
        "<think> try 7 + 1 = 8 , 8 * 5 = 41 high wait 7 - 1 = 6 , 6 + 5 = 11 low hmm 等等 7 - 1 = 6 , 6 * 5 = 30 low "
        "wait 7 * 5 = 35 , 35 - 1 = 34 yes check 7 * 5 = 35 , 35 - 1 = 34 yes </think> so 7 * 5 - 1 = 34 "
        "<answer> 7 * 5 - 1 </answer>"
    )
    assert TASK.diagnose(PROMPT, text) == {
        "tries": 4,
        "distinct_tries": 3,  # 7 - 1 twice
        "arithmetic_right": 9 / 10,  # 8 * 5 = 41 is wrong
        "rechecks": 1,
        "valid_numbers": 1,
        "answer_right": 1,
        "claims_hit": 1,
        "false_hit": 0,
        "right_when_claims": 1,
        "summary_right": 1,
    }


def test_diagnose_of_a_false_hit() -> None:
    found = TASK.diagnose(PROMPT, "试 7 + 1 = 8 , 8 + 5 = 33 对 答 7 + 1 + 5")
    assert (found["tries"], found["arithmetic_right"], found["claims_hit"], found["false_hit"]) == (1, 0.5, 1, 1)
    assert (found["valid_numbers"], found["answer_right"], found["right_when_claims"]) == (1, 0, 0)


def test_diagnose_leaves_out_what_does_not_apply() -> None:
    found = TASK.diagnose(PROMPT, "the cat 9999999999 + 1 = 5")
    absent = {name for name, value in found.items() if math.isnan(value)}
    assert absent == {
        "arithmetic_right",
        "valid_numbers",
        "answer_right",
        "false_hit",
        "right_when_claims",
        "summary_right",
    }
    assert found["tries"] == found["claims_hit"] == 0
    assert TASK.diagnose(PROMPT, "<think> </think> <answer> 7 * 5 - 2 </answer>")["valid_numbers"] == 0
    assert TASK.diagnose(PROMPT, "try 7 * 5 =")["tries"] == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer> 1 </answer> <answer> 2 </answer>", "2"),
        ("answer 1 <answer> 2 </answer>", "2"),
        ("so answer 1 + 2", "1 + 2"),
        ("<answer> 1", None),
        ("try 1 + 2", None),
    ],
)
def test_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("summary", "right"),
    [
        ("so 84 = (12 - 5) * 12", 1),
        ("so 85 = (12 - 5) * 12", 0),
        ("so (12 - 5) * 12 = 84", 1),
        ("so 12 - 5 * 12 = 72", 0),  # it is -48
        ("所以 ( 7 + 1 ) * 5 = 40", 1),
        ("7 + 1 * 5 = 12", 1),  # true, whatever was asked
        ("so 7 + 1 * 5", 0),
        ("so it is", 0),
        ("", math.nan),
    ],
)
def test_whether_a_summary_is_true_as_it_stands(summary: str, right: float) -> None:
    text = f"<think> try </think> {summary} <answer> 1 </answer>"
    assert TASK.diagnose(PROMPT, text)["summary_right"] == pytest.approx(right, nan_ok=True)


EVERYONES = Countdown(
    "real",
    CountdownConfig(
        most=4,
        highest=99,
        divide="fractions",
        targets=(10, 99),
        limit=9999,
        test_multisets=12,
        dev_multisets=4,
        test_targets=1,
        question="Reach {target} with the numbers {numbers}.",
    ),
)


def test_the_game_in_a_question_of_ones_own() -> None:
    prompts = [*EVERYONES.held_out("test"), *(EVERYONES.train(index) for index in range(8))]
    assert len(prompts) >= 18
    for prompt in prompts:
        assert prompt.language == "en"
        assert prompt.answer is not None
        assert EVERYONES.grade(prompt, prompt.answer).correct == 1
        again = EVERYONES.asked(prompt.question)
        assert again is not None
        assert again.facts == prompt.facts
    asked = EVERYONES.asked("Reach 6 with the numbers 3, 5, 10.")
    assert asked is not None
    assert [EVERYONES.grade(asked, answer).correct for answer in ("10 / 5 * 3", "3 / 5 * 10", "3 + 5", "6")] == [
        1,
        1,
        0,
        0,
    ]
    assert EVERYONES.asked("use 3 5 10 make 6") is not None
    assert EVERYONES.asked("Reach 6 with 3, 5, 10.") is None
    assert (EVERYONES.languages, EVERYONES.offers) == (("en",), frozenset())


def test_a_task_in_a_language_outside_the_two() -> None:
    task = Countdown("countdown", CountdownConfig(chinese_share=0.0, korean_share=1.0))
    assert {prompt.language for prompt in task.held_out("test")} == {"ko"}
    assert task.languages == ("en", "zh", "ko")
    prompt = task.asked("사용 7 1 5 만들기 34")
    assert prompt is not None
    assert prompt.facts == {"numbers": [7, 1, 5], "target": 34}
    found = task.diagnose(prompt, "<think> 시도 7 * 5 = 35 , 35 - 1 = 34 맞아 확인 7 * 5 = 35 </think> 답 7 * 5 - 1")
    assert (found["tries"], found["rechecks"], found["claims_hit"], found["answer_right"]) == (1, 1, 1, 1)
    example = task.worked_example("ko", 0, 80, 1)
    assert (example.language, "잠깐" in example.response.split()) == ("ko", True)
    assert "try" not in example.response.split()
