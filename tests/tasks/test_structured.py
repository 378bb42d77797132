"""The task of answers in JSON, and the reward's part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("jsonschema")

from r1kit.errors import InputError
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.rule import failed_score, score_completion
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec
from r1kit.tasks.structured import Structured, StructuredConfig
from r1kit.tasks.task import Grade, Task

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}, "why": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
LINE = {"prompt": "What is 4 * 6?", "schema": SCHEMA, "expected": {"answer": 24}}


class Graded(Task):
    def grade(self, prompt: Prompt, answer: str) -> Grade:
        return Grade(1.0, answer)


def task_of(tmp_path: Path, *lines: object) -> Structured:
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Structured("forms", StructuredConfig(path=str(path), dev_share=0, test_share=0))


@pytest.mark.parametrize(
    ("answer", "parses", "fits", "right"),
    [
        ('{"answer": 24}', 1, 1, 1),
        ('{"answer": 24, "why": "4 * 6"}', 1, 1, 1),
        ('{"answer": 25}', 1, 1, 0),
        ('{"answer": "24"}', 1, 0, 0),
        ('{"answer": 24, "more": 1}', 1, 0, 0),
        ('{"answer": 24, "answer": 24}', 0, 0, 0),
        ("24", 1, 0, 0),
        ("24 }", 0, 0, 0),
        ("", 0, 0, 0),
        ("[" * 100_000, 0, 0, 0),
    ],
)
def test_answers_by_hand(tmp_path: Path, answer: str, parses: int, fits: int, right: int) -> None:
    task = task_of(tmp_path, LINE)
    prompt = task.train(0)
    assert prompt.question.startswith("What is 4 * 6?\n\nAnswer with JSON that satisfies this schema:\n{")
    assert prompt.answer == '{"answer": 24}'
    assert task.grade(prompt, answer).correct == right
    text = f"<think> [ </think> <answer>{answer}</answer>"
    assert task.diagnose(prompt, text) == {"parses": parses, "fits": fits, "answer_right": right}
    score = score_completion(task, prompt, text, "stop", RewardConfig(parts={"accuracy": 1.0, "schema": 0.5}))
    assert (score.parts["schema"], score.parts["schema/parses"], score.total) == (fits, parses, right + 0.5 * fits)


def test_equal_answers_vote_together(tmp_path: Path) -> None:
    task = task_of(tmp_path, LINE)
    one, other = ('{"why": "x", "answer": 24}', '{ "answer":24,\n"why":"x" }')
    assert (
        task.grade(task.train(0), one).canonical
        == task.grade(task.train(0), other).canonical
        == '{"answer":24,"why":"x"}'
    )


def test_half_a_surrogate_pair_gives_a_vote_that_can_be_written(tmp_path: Path) -> None:
    task = task_of(tmp_path, LINE)
    for why, vote in (("\\ud83d\\ude00", "\U0001f600"), ("\\ud83d", "?"), ("\\ude00\\ud83d", "??")):
        grade = task.grade(task.train(0), f'{{"answer": 24, "why": "{why}"}}')
        assert (grade.correct, grade.canonical) == (1, f'{{"answer":24,"why":"{vote}"}}')


def test_without_an_expected_value_the_schema_alone_decides_and_a_chat_is_kept(tmp_path: Path) -> None:
    chat = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "now"},
    ]
    task = task_of(tmp_path, {"messages": chat, "schema": SCHEMA})
    prompt = task.train(0)
    assert [turn.content for turn in prompt.history or ()] == ["hi", "ok"]
    assert prompt.answer is None
    assert task.grade(prompt, '{"answer": 7}').correct == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"prompt": "?"}, "no 'schema'"),
        ({"schema": SCHEMA}, "no 'prompt'"),
        ({**LINE, "schema": {"type": 3}}, "no JSON schema"),
        ({**LINE, "expected": {"answer": {}, "no": 1}, "schema": {"additionalProperties": False}}, "does not satisfy"),
        ({"prompt": "?", "schema": {"type": "integer"}, "expected": "x"}, "what is expected does not satisfy"),
    ],
)
def test_bad_lines_are_one_line(tmp_path: Path, line: object, why: str) -> None:
    with pytest.raises(InputError, match=rf"f\.jsonl:1: .*{why}"):
        task_of(tmp_path, line)


def test_the_part_abstains_without_a_schema_and_is_not_asked_of_what_broke_a_process() -> None:
    prompt = Prompt(question="?", facts={"schema": {"pattern": "(a+)+$", "type": "string"}})
    config = RewardConfig(parts={"schema": 1.0, "format": 0.2})
    bare = Prompt(question="?")
    abstained = score_completion(Graded(), bare, "<answer>1</answer>", "stop", config)
    assert abstained.abstained == ("schema",)
    hostile = "<answer>" + json.dumps("a" * 64 + "!") + "</answer>"
    parts = failed_score(prompt, hostile, "stop", config, "timeout", "too slow").parts
    assert parts == {"accuracy": 0.0, "schema": 0.0, "format": 0.0, "language": parts["language"]}


def test_a_pattern_that_never_ends_costs_one_completion(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps({"prompt": "?", "schema": {"type": "string", "pattern": "^(a+)+$"}}) + "\n")
    table = {"path": str(path), "test_path": str(path)}
    prompt = Structured("slow", StructuredConfig(**table)).held_out("test")[0]
    texts = [f"<answer>{json.dumps(text)}</answer>" for text in ("a" * 40 + "!", "aa")]
    group = Group(
        prompt=prompt,
        prompt_ids=(1,),
        completions=tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts),
    )
    parts = RewardConfig(parts={"accuracy": 1.0, "schema": 1.0})
    with Verifier({"slow": Spec("structured", table)}, {"slow": parts}, deadline_seconds=1.0) as verifier:
        slow, quick = verifier.score_groups([group])[0]
    assert (slow.status, slow.total) == ("timeout", 0.0)
    assert (quick.status, quick.total) == ("ok", 2.0)
