"""Two turns of Countdown."""

from __future__ import annotations

from collections import Counter

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown.corpus import CountdownCorpus
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig, multisets
from r1kit.nano.turns.task import Turns, TurnsConfig
from r1kit.records import Prompt

TASK = Turns("turns", TurnsConfig())


def second(prompt: Prompt) -> tuple[list[int], int]:
    """Numbers and target of the second problem, read out of the two questions by hand."""
    assert prompt.history is not None
    _, *given, _, target = prompt.history[0].content.split()
    numbers, made = list(map(int, given)), int(target)
    word, what, *rest = prompt.question.split()
    assert word in ("again", "no", "再", "不")
    if what in ("use", "用"):
        return list(map(int, rest)), made
    return numbers, int(rest[0]) if what in ("make", "得") else made + int(rest[0])


def test_the_second_question_means_what_the_two_say() -> None:
    kinds: Counter[str] = Counter()
    for prompt in (*(TASK.train(index) for index in range(60)), *TASK.held_out("test", 45), *TASK.held_out("dev", 30)):
        numbers, target = second(prompt)
        assert (prompt.facts["numbers"], prompt.facts["target"]) == (numbers, target)
        assert prompt.answer is not None
        assert TASK.grade(prompt, prompt.answer).correct == 1
        first = Prompt(
            question="", facts={"numbers": prompt.facts["first_numbers"], "target": prompt.facts["first_target"]}
        )
        assert prompt.history is not None
        given = prompt.history[1].content
        right = given.partition("<answer>")[2].partition("</answer>")[0].strip()
        assert TASK.grade(first, right).correct == 1
        assert given.startswith("<think>")
        assert (numbers, target) != (first.facts["numbers"], first.facts["target"])
        assert TASK.diagnose(prompt, given)["answers_first"] == 1
        kinds[prompt.question.split()[1]] += 1
    assert min(kinds[en] + kinds[zh] for en, zh in (("use", "用"), ("make", "得"), ("add", "加"))) >= 15


def test_held_out_numbers_are_in_no_training_turn() -> None:
    config = CountdownConfig()
    held = {part: set(multisets(config, part)) for part in ("dev", "test")}
    for index in range(60):
        facts = TASK.train(index).facts
        for numbers in (facts["numbers"], facts["first_numbers"]):
            assert all(tuple(sorted(numbers)) not in part for part in held.values())
    for prompt in TASK.held_out("test", 40):
        assert tuple(sorted(prompt.facts["numbers"])) in held["test"]


def test_good_samples_are_right_and_repeat_and_use_words_that_a_base_knows() -> None:
    found = TASK.good_samples(20, 3)
    assert found == Turns("turns", TurnsConfig()).good_samples(20, 3)
    assert found != TASK.good_samples(20, 4)
    known = {*CountdownCorpus(CountdownCorpusConfig()).vocabulary(), "add", "加"}
    for sample in found:
        assert set(f"{sample.prompt} {sample.response}".split()) <= known
        answer = sample.response.partition("<answer>")[2].partition("</answer>")[0]
        numbers, target = second(Prompt(question=sample.prompt, history=sample.history))
        asked = Prompt(question="", facts={"numbers": numbers, "target": target})
        assert TASK.grade(asked, answer).correct == 1


def test_settings() -> None:
    only = Turns("turns", TurnsConfig(kinds=("shift",)))
    assert {only.train(index).question.split()[1] for index in range(12)} <= {"add", "加"}
    with pytest.raises(InputError, match="kinds = \\['sing'\\]"):
        TurnsConfig(kinds=("sing",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="three numbers"):
        TurnsConfig(problems=CountdownConfig(numbers=4))
