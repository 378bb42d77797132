"""A group's programs are judged ``sandbox.workers`` at a time: nothing but the time it takes may differ."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import MissingError
from r1kit.nano.list_ops.task import ListOps, ListOpsTaskConfig
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.sandbox import Case, LadderSettings, Limits, SandboxSettings, Verdict, check_sandbox
from r1kit.structure import plain
from r1kit.tasks import Spec
from r1kit.tasks.code import CodeConfig, CodeFile
from r1kit.tasks.code.judge import Judge
from tests.tasks.code.conftest import Counting

LADDER = LadderSettings(extract="whole", total_seconds=2.0, limits=Limits(seconds=0.5, cpu_seconds=4))
LOOP = "[0 for _ in iter(int, 1)]"
LINE = {"task_id": 1, "text": "Double it.", "code": "def f(x):\n    return 2 * x", "test_list": ["assert f(2) == 4"]}
LINE["test_list"] = ["assert f(2) == 4", "assert f(0) == 0", "assert f(-3) == -6"]


@pytest.fixture
def walls() -> None:
    try:
        check_sandbox(SandboxSettings())
    except MissingError as missing:
        pytest.skip(str(missing))


def group(prompt: Prompt, texts: Sequence[str]) -> Group:
    completions = [Completion(token_ids=(), logprobs=(), text=text, finish="stop") for text in texts]
    return Group(prompt=prompt, prompt_ids=(), completions=tuple(completions))


def tagged(answer: str) -> str:
    return f"<think> try </think> <answer> {answer} </answer>"


def list_ops(workers: int) -> ListOpsTaskConfig:
    return ListOpsTaskConfig(sandbox=SandboxSettings(workers=workers), ladder=LADDER)


def judged(kind: str, config: Any, groups: Sequence[Group], deadline: float = 10.0) -> tuple[Any, Any, float]:
    """Scores, diagnostics, and the seconds that scoring took, the start of the sandbox left out."""
    with Verifier({"code": Spec(kind, plain(config))}, {"code": RewardConfig()}, deadline_seconds=deadline) as verifier:
        verifier.score_groups([replace(groups[0], completions=groups[0].completions[:1])])
        started = time.monotonic()
        scores = verifier.score_groups(groups)
        taken = time.monotonic() - started
        return scores, verifier.diagnose_groups(groups), taken


@pytest.mark.usefixtures("walls")
def test_list_ops_scores_and_diagnostics_are_those_of_one_worker() -> None:
    prompts = [ListOps("code", list_ops(1)).train(index) for index in range(2)]
    groups = []
    for prompt in prompts:
        right = prompt.answer or ""
        answers = [
            right,
            "xs",
            f"( {right} )",
            "sorted ( xs",
            LOOP,
            "ys",
            LOOP,
            "__import__('os').fork()",
            "9**9**9**9",
        ]
        texts = [*map(tagged, answers), "no answer", f"try {right} yes answer {right}", ""]
        groups.append(group(prompt, texts))
    alone, told_alone, _ = judged("code/list_ops", list_ops(1), groups)
    together, told_together, _ = judged("code/list_ops", list_ops(4), groups)
    assert together == alone
    assert told_together == told_alone
    for row, told in zip(together, told_together, strict=True):
        assert [score.parts["accuracy"] for score in row] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        assert [each["answer_right"] for each in told] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]
        assert {score.status for score in row} == {"ok"}


@pytest.mark.usefixtures("walls")
def test_a_file_s_scores_and_diagnostics_are_those_of_one_worker(tmp_path: Path) -> None:
    path = str(tmp_path / "problems.jsonl")
    Path(path).write_text(json.dumps(LINE) + "\n")
    programs = ["return 2 * x", "return x", "return (2 *", "while True: pass", "return 2 * x", "return [x, x]"]
    texts = [f"<answer>\n```python\ndef f(x):\n    {body}\n```\n</answer>" for body in programs]

    def config(workers: int) -> CodeConfig:
        sandbox = SandboxSettings(workers=workers)
        return CodeConfig(format="mbpp", path=path, test_path=path, sandbox=sandbox, ladder=LADDER)

    (prompt,) = CodeFile("code", config(1)).held_out("test")
    groups = [group(prompt, [*texts, "<answer> def f(x): return x + x </answer>", "nothing"])]
    alone, told_alone, _ = judged("code/mbpp", config(1), groups)
    together, told_together, _ = judged("code/mbpp", config(4), groups)
    assert (together, told_together) == (alone, told_alone)
    assert [score.parts["accuracy"] for score in together[0]] == [1, 0, 0, 0, 1, 0, 1, 0]
    assert [each["tests_passed"] for each in told_together[0]] == [1, 1 / 3, 0, 0, 1, 0, 1, 0]


@pytest.mark.usefixtures("walls")
def test_sixteen_endless_loops_take_four_rows_and_are_blamed_on_nobody() -> None:
    prompts = [ListOps("code", list_ops(1)).train(index) for index in range(2)]
    loops = [tagged(f"{LOOP} + [ {number} ]") for number in range(16)]
    groups = [group(prompts[0], [*loops, tagged(prompts[0].answer or "")]), group(prompts[1], loops[:1] * 2)]
    scores, _, taken = judged("code/list_ops", list_ops(4), groups, deadline=2.0)
    assert [score.parts["accuracy"] for score in scores[0]] == [0.0] * 16 + [1.0]
    assert {(score.status, score.cause) for row in scores for score in row} == {("ok", "")}
    assert taken > 2.0  # together they pass the deadline of a completion: four rows of half a second, and one more loop
    assert taken < 7.0  # 17 loops one after another take 8.5


@pytest.mark.usefixtures("walls")
def test_verdicts_and_their_causes_are_those_of_one_worker() -> None:
    prompt = ListOps("code", list_ops(1)).train(0)
    tests = ListOps("code", list_ops(1))._tests(prompt)
    bodies = [prompt.answer, "xs", "(xs", LOOP, "ys", "print('x' * (1 << 22))", "[0] * (1 << 30)", "lambda: 0", "xs"]
    programs = [f"def f(xs):\n    return {body}\n" for body in bodies]

    def verdicts(workers: int) -> list[Verdict]:
        judge = Judge(SandboxSettings(workers=workers), LADDER)
        rows = list(judge.prepare(prompt.id, programs, lambda: tests))
        assert len(rows) == (0 if workers == 1 else 2)  # eight that differ
        found = [judge.verdict(prompt.id, program, lambda: tests) for program in programs]
        judge.close()
        return found

    alone, together = verdicts(1), verdicts(4)
    assert [(each.cause, each.rungs, each.reward) for each in together] == [
        (each.cause, each.rungs, each.reward) for each in alone
    ]
    assert [each.cause for each in together[:5]] == ["ok", "wrong_answer", "not_python", "timeout", "error"]


def never() -> Sequence[Case]:
    raise AssertionError("judged twice")


def test_equal_programs_run_once_and_are_found_again(trusting: list[Counting]) -> None:
    task = ListOps("code", list_ops(4))
    prompt = task.train(0)
    right = prompt.answer or ""
    assert task.judge._settings.workers == 4
    assert len(list(task.prepare(prompt, [right, "xs", f"({right})", "xs", "not Python at all"], "grade"))) == 1
    assert len(trusting[0].ran) == 2
    assert [task.grade(prompt, answer).correct for answer in (right, "xs")] == [1, 0]
    assert list(task.prepare(prompt, [tagged(right), tagged("xs")], "diagnose")) == []
    assert len(list(task.prepare(prompt, [tagged(f"xs + [ {n} ]") for n in range(5)], "diagnose"))) == 2
    assert len(trusting[0].ran) == 7
    assert task.judge.verdict(prompt.id, "def f(xs):\n    return xs\n", never).cause == "wrong_answer"


def test_one_worker_and_timed_programs_are_left_to_be_judged_one_by_one(trusting: list[Counting]) -> None:
    for workers, ladder in ((1, LADDER), (4, replace(LADDER, pay_speed=0.1))):
        task = ListOps("code", ListOpsTaskConfig(sandbox=SandboxSettings(workers=workers), ladder=ladder))
        assert list(task.prepare(task.train(0), ["xs", "xs[::-1]"], "grade")) == []
    assert trusting == []
