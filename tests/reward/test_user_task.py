"""A user's task in the verifier process: what its rule raises, and where it hangs, is told by the line of his file."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1kit.records import Completion, Group, Prompt
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec

TASK = """
import os

class Sums:
    def train(self, index):
        return {"prompt": f"{index} + 1", "answer": str(index + 1)}

    def held_out(self, split, limit):
        return [self.train(index) for index in range(limit or 4)]

    def grade(self, prompt, answer):
        if answer == "divide":
            return 1 / 0
        if answer == "loop":
            while True:
                pass
        if answer == "exit":
            os._exit(3)
        return float(answer == prompt.answer)
"""


def test_faults_in_a_rule_are_lines_of_his_file(tmp_path: Path) -> None:
    file = tmp_path / "my_task.py"
    file.write_text(TASK)
    prompt = Prompt(id="sums/train/1", task="sums", question="1 + 1", answer="2")
    texts = [f"<think> a b </think> <answer>{answer}</answer>" for answer in ("2", "divide", "loop", "exit", "3")]
    rows = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
    with Verifier({"sums": Spec(f"{file}:Sums", {})}, {"sums": RewardConfig()}, deadline_seconds=0.5) as judge:
        (scores,) = judge.score_groups([Group(prompt=prompt, prompt_ids=(), completions=rows)])
    assert [score.total for score in scores] == [1.2, 0.0, 0.0, 0.0, 0.2]
    assert [score.status for score in scores] == ["ok", "ungradable", "timeout", "ungradable", "ok"]
    line = TASK.splitlines().index("            return 1 / 0") + 1
    assert scores[1].cause == f"my_task.py:{line}: ZeroDivisionError: division by zero"
    assert scores[2].cause in [f"my_task.py:{at}: Sums took more than 0.5 s and was stopped" for at in (15, 16)]
    assert scores[3].cause == "my_task.py:Sums: the verifier process ended: exit code 3"
    assert pytest.approx(1.0) == scores[1].parts["format"]
