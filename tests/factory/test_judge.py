"""The generative judge: JSON is read wherever it stands; no JSON is counted, asked once more, then left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from r1kit.factory.asking import spoken
from r1kit.factory.judge import GenerativeJudge, Question, Verdict, read_verdict
from r1kit.factory.pairs import Comparison, PairwiseJudge
from r1kit.factory.refine import EngineRefiner
from r1kit.factory.samplers import Sampler
from r1kit.records import Message, Prompt, Sampling
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.text.seen import in_tags, with_opening

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


def test_what_is_asked_and_answered_is_shown_as_it_stands() -> None:
    """A question that says ``\\boxed{answer}`` was shown with the whole answer in the box."""
    tokenizer = CodePoints()
    asked: list[str] = []

    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        asked.append(tokenizer.decode(list(prompt)))
        return RIGHT

    judge = GenerativeJudge(
        ScriptedEngine(script), tokenizer.encode, Sampling(n=1, max_tokens=999), "{question}|{answer}"
    )
    judge.verdicts([Question(question="2? \\boxed{answer}", reference="4", answer="{question}")], [1])
    assert asked == ["2? \\boxed{answer}|{question}"]


def test_a_judge_is_shown_the_turns_before_the_question() -> None:
    history = (Message(role="user", content="Take 3."), Message(role="assistant", content="Yes."))
    prompt = Prompt(question="And twice that?", history=history)
    assert spoken(prompt) == "user: Take 3.\n\nassistant: Yes.\n\nuser: And twice that?"
    assert spoken(Prompt(question="And twice that?")) == "And twice that?"
    tokenizer = CodePoints()
    asked: list[str] = []

    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        asked.append(tokenizer.decode(list(prompt)))
        return "[[A=B]]"

    compared = PairwiseJudge(ScriptedEngine(script), tokenizer.encode, Sampling(n=1, max_tokens=99))
    compared([Comparison(prompt=prompt, a="6", b="7")], [1])
    refiner = EngineRefiner(engine=ScriptedEngine(script), encode=tokenizer.encode, sampling=Sampling(max_tokens=99))
    refiner.refine([prompt], ["<think> 3 + 3 </think> 6"], [1])
    assert len(asked) >= 2
    assert all(spoken(prompt) in text for text in asked)


DRAFT = 'so {"correctness": "correct"}, no'


@pytest.mark.parametrize(
    ("read", "written", "correct"),
    [
        (with_opening, f"{DRAFT}</think>" + RIGHT.replace('"correct"', '"incorrect"'), False),
        (with_opening, DRAFT, None),
        (in_tags, f"<|channel|>analysis<|message|>{DRAFT}", None),
        (in_tags, DRAFT, True),
    ],
)
def test_what_a_judge_thinks_is_no_verdict(read: Callable[[str], str], written: str, correct: bool | None) -> None:
    """Also where its prompt opens the thinking, so that it never writes the first tag, and where it never ends."""
    judge = GenerativeJudge(ScriptedEngine([written]), CodePoints().encode, Sampling(max_tokens=999), read=read)
    (found,) = judge.verdicts([Question(question="Q", reference="R", answer="A")], [1])
    assert (found and found.correct) == correct


@pytest.mark.parametrize(
    ("written", "shown"), [("[[A>B]]? no </think>[[B>A]]", "[[B>A]]"), ("[[A>B]]? no", ""), ("</think>same", "same")]
)
def test_a_pairwise_judge_and_a_refiner_that_think_behind_their_prompt_say_what_follows(
    written: str, shown: str
) -> None:
    encode, sampling = CodePoints().encode, Sampling(n=1, max_tokens=99)
    judge = PairwiseJudge(ScriptedEngine([written]), encode, sampling, read=with_opening)
    prompt = Prompt(id="p", task="t", question="q")
    assert judge([Comparison(prompt=prompt, a="x", b="y")], [1]) == [shown]
    refiner = EngineRefiner(engine=ScriptedEngine([written]), encode=encode, sampling=sampling, read=with_opening)
    (found,) = refiner.refine([prompt], ["<think> a </think> b"], [1])
    assert found.response == (f"<think> {shown} </think> {shown}" if shown else "")


def test_a_sampler_reads_as_its_prompts_begin() -> None:
    plain = Sampler(name="m", version=0, engine=ScriptedEngine([""]), encode=CodePoints().encode, count=len)
    assert (plain.read("\nso"), replace(plain, opens=True).read("\nso")) == ("\nso", "<think>\nso")
