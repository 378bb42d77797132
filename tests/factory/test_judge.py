"""The generative judge: JSON is read wherever it stands; no JSON is counted, asked once more, then left out."""

from __future__ import annotations

import pytest

from r1kit.factory.judge import GenerativeJudge, Question, Verdict, read_verdict
from r1kit.records import Sampling
from r1kit.rollout.scripted import CodePoints, ScriptedEngine

RIGHT = 'Both say 4. {"analysis": "same", "correctness": "correct"}'


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (RIGHT, Verdict(correct=True, analysis="same")),
        (
            '```json\n{"analysis": "a {b} c", "correctness": "Incorrect"}\n```',
            Verdict(correct=False, analysis="a {b} c"),
        ),
        ('{"correctness": "correct"} no, {"correctness": "incorrect"}', Verdict(correct=False)),
        ('{"analysis": "x", "correctness": "maybe"}', None),
        ('{"analysis": "x"', None),
        ("correct", None),
        ("", None),
    ],
)
def test_read_verdict(text: str, verdict: Verdict | None) -> None:
    assert read_verdict(text) == verdict


def test_no_json_is_counted_asked_once_more_then_left_out() -> None:
    tokenizer = CodePoints()
    asked: list[tuple[str, int]] = []

    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        answer = tokenizer.decode(list(prompt)).rpartition("Answer:\n")[2]
        asked.append((answer, seed))
        if answer == "never" or (answer == "later" and seed == 10):
            return "it is correct"
        return RIGHT if answer != "wrong" else RIGHT.replace('"correct"', '"incorrect"')

    judge = GenerativeJudge(ScriptedEngine(script), tokenizer.encode, Sampling(n=4, max_tokens=999))
    answers = ["fine", "never", "wrong", "later"]
    found = judge.verdicts([Question(question="2 + 2", reference="4", answer=a) for a in answers], [10] * 4)
    assert [None if verdict is None else verdict.correct for verdict in found] == [True, None, False, True]
    assert judge.tally.as_counts() == {"judge_asked": 4, "judge_no_json": 2, "judge_left_out": 1}
    assert asked[4:] == [("never", 11), ("later", 11)], "only those without, with another seed"


def test_the_prompt_holds_question_reference_and_answer() -> None:
    tokenizer = CodePoints()
    engine = ScriptedEngine([RIGHT])
    judge = GenerativeJudge(engine, tokenizer.encode, Sampling(max_tokens=99))
    judge.verdicts([Question(question="Q?", reference="R!", answer="say {reference}")], [1])
    text = tokenizer.decode(list(engine.calls[0][0][0]))
    assert text.endswith("Question:\nQ?\n\nReference answer:\nR!\n\nAnswer:\nsay {reference}")
    assert text.index("Analyse first") < text.index('"correctness"')


def test_nothing_to_judge_asks_nothing() -> None:
    engine = ScriptedEngine([RIGHT])
    assert GenerativeJudge(engine, CodePoints().encode, Sampling()).verdicts([], []) == []
    assert not engine.calls
