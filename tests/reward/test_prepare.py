"""A task is shown a group before it is judged: what that saves, and that nobody is blamed when it goes wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from r1kit.records import Completion, Group, Prompt
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks.task import By, Grade

BUILDER = f"{__name__}:build_task"


class Preparing:
    """Its answers' canonical form says in which order they were shown; the question says how ``prepare`` behaves."""

    def __init__(self, name: str, config: Any) -> None:
        self.name = name
        self.shown: dict[str, list[str]] = {"grade": [], "diagnose": []}

    def prepare(self, prompt: Prompt, given: Sequence[str], by: By) -> Iterator[None]:
        self.shown[by] = []
        for one in given:
            if prompt.question == "hangs":
                time.sleep(60)
            if prompt.question == "exits":
                os._exit(7)
            if prompt.question == "raises" and one == "b":
                raise ValueError(one)
            if prompt.question == "slow":
                time.sleep(0.4)
            self.shown[by].append(one)
            yield
        while prompt.question == "endless":
            yield

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        while answer == "loop":
            pass
        return Grade(float(answer == prompt.answer), f"{answer}: {' '.join(self.shown['grade'])}")

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        return {"place": float(self.shown["diagnose"].index(text))}


def build_task(name: str, config: Any) -> Preparing:
    return Preparing(name, config)


def group(question: str, *answers: str) -> Group:
    completions = tuple(
        Completion(token_ids=(1,), logprobs=(0.0,), text=f"<think>a</think> <answer>{answer}</answer>", finish="stop")
        for answer in answers
    )
    prompt = Prompt(id=f"fake/dev/{question}", task="fake", question=question, answer="a")
    return Group(prompt=prompt, prompt_ids=(1,), completions=completions)


def verifier(deadline: float = 1.0) -> Verifier:
    return Verifier({"fake": None}, {"fake": RewardConfig()}, deadline_seconds=deadline, builder=BUILDER)


def test_a_task_sees_what_it_will_grade_or_diagnose() -> None:
    first = group("fine", "a", "b", "a")
    cut = Completion(token_ids=(1,), logprobs=(0.0,), text="<think> a", finish="length")
    shown = Group(prompt=first.prompt, prompt_ids=(1,), completions=(*first.completions, cut))
    with verifier() as judge:
        (row,) = judge.score_groups([shown])
        (told,) = judge.diagnose_groups([shown])
        (alone,) = judge.score_groups([group("fine", "b")])
    assert [score.answer for score in row] == ["a: a b a", "b: a b a", "a: a b a", None]
    assert [score.parts["accuracy"] for score in row] == [1.0, 0.0, 1.0, 0.0]
    assert [each["place"] for each in told] == [0.0, 1.0, 0.0, 3.0]
    assert alone[0].answer == "b: a b a"  # nothing is shown before one completion


@pytest.mark.parametrize(
    ("question", "shown"),
    [("hangs", ""), ("exits", ""), ("raises", "a"), ("endless", "a b c"), ("slow", "a b c")],
)
def test_whatever_it_does_costs_no_completion_anything(question: str, shown: str) -> None:
    started = time.monotonic()
    with verifier() as judge:
        rows = judge.score_groups([group(question, "a", "b", "c"), group("fine", "b", "a")])
        taken = time.monotonic() - started
        told = judge.diagnose_groups([group("fine", "b", "a")])
    assert [[score.answer for score in row] for row in rows] == [
        [f"{answer}: {shown}".rstrip() if shown else f"{answer}: " for answer in "abc"],
        ["b: b a", "a: b a"],
    ]
    assert [[score.parts["accuracy"] for score in row] for row in rows] == [[1.0, 0.0, 0.0], [0.0, 1.0]]
    assert {(score.status, score.cause) for row in rows for score in row} == {("ok", "")}
    assert [each["place"] for each in told[0]] == [0.0, 1.0]
    assert taken < 30  # a process more and one deadline, not one for each completion of a minute


def test_a_completion_that_hangs_is_blamed_alone_and_the_rest_is_not_shown_again() -> None:
    with verifier() as judge:
        row, after = judge.score_groups([group("fine", "a", "loop", "c", "loop", "a"), group("fine", "c", "a")])
    assert [score.status for score in row] == ["ok", "timeout", "ok", "timeout", "ok"]
    assert [score.answer for score in row] == ["a: a loop c loop a", None, "c: ", None, "a: "]
    assert [score.answer for score in after] == ["c: c a", "a: c a"]
