"""The verifier with the tasks that ship."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from r1kit.records import Completion, Group, Prompt
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec, build_spec
from r1kit.tasks.task import Grade, Task


class Watched:
    """A shipped task whose grades carry what the process has imported."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.name = task.name

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        import sys

        grade = self.task.grade(prompt, answer)
        heavy = [name for name in ("torch", "transformers") if name in sys.modules]
        return dataclasses.replace(grade, canonical=f"{grade.canonical} {heavy}")

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        return self.task.diagnose(prompt, text)


def build_watched(name: str, config: Any) -> Watched:
    return Watched(build_spec(name, config))


def answered(prompt: Prompt, *answers: str) -> Group:
    completions = tuple(
        Completion(
            token_ids=(1,), logprobs=(0.0,), text=f"<think> a b </think> <answer>{answer}</answer>", finish="stop"
        )
        for answer in answers
    )
    return Group(prompt=prompt, prompt_ids=(1,), completions=completions)


@pytest.mark.slow
def test_one_verifier_serves_countdown_a_generator_and_a_file_without_torch(tmp_path: Path) -> None:
    lines = [f'{{"prompt": "What is {n} / 2?", "answer": "{n}/2"}}\n' for n in range(1, 40, 2)]
    (tmp_path / "halves.jsonl").write_text("".join(lines))
    configs = {
        "countdown": Spec("countdown", {}),
        "sums": Spec("reasoning_gym/chain_sum", {}),
        "halves": Spec("jsonl", {"path": str(tmp_path / "halves.jsonl")}),
    }
    prompts = {name: build_spec(name, config).train(0) for name, config in configs.items()}
    numerator = int(str(prompts["halves"].answer).split("/")[0])
    total = str(prompts["sums"].answer)
    groups = [
        answered(prompts["sums"], total, str(int(total) + 1)),
        answered(prompts["halves"], f"\\frac{{{numerator}}}{{2}}", str(numerator / 2), "0", "\\frac{"),
        answered(prompts["countdown"], "1 +"),
    ]
    builder = f"{__name__}:build_watched"
    with Verifier(configs, dict.fromkeys(configs, RewardConfig()), deadline_seconds=5, builder=builder) as judge:
        rows = judge.score_groups(groups)
        (told,) = judge.diagnose_groups(groups[2:])
    assert [[score.parts["accuracy"] for score in row] for row in rows] == [[1, 0], [1, 1, 0, 0], [0]]
    assert {score.status for row in rows for score in row} == {"ok"}
    assert all(score.answer is not None and score.answer.endswith(" []") for row in rows for score in row)
    assert told[0]["tries"] == 0.0


HOSTILE = ["9**9**9**9", "\\frac{1}{0}", "(" * 3000, "1e999999999", "\\boxed{" * 500]


def test_hostile_maths_answers_cannot_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text("".join(f'{{"prompt": "q{n}", "answer": "7"}}\n' for n in range(9)))
    config = Spec("jsonl", {"path": str(tmp_path / "one.jsonl"), "dev_share": 0.0, "test_share": 0.0})
    prompt = build_spec("one", config).train(0)
    with Verifier({"one": config}, {"one": RewardConfig()}, deadline_seconds=1.0) as judge:
        (row,) = judge.score_groups([answered(prompt, *HOSTILE, "7")])
    assert [score.parts["accuracy"] for score in row] == [0.0] * len(HOSTILE) + [1.0]


def test_countdown_is_judged_without_torch() -> None:
    config = Spec("countdown", {})
    group = answered(build_spec("c", config).train(0), "1 +", "not an expression")
    with Verifier({"c": config}, {"c": RewardConfig()}, builder=f"{__name__}:build_watched") as judge:
        (row,) = judge.score_groups([group])
        (told,) = judge.diagnose_groups([group])
    assert [score.total for score in row] == [0.2, 0.2]
    assert [str(score.answer)[-3:] for score in row] == [" []", " []"]
    assert [each["tries"] for each in told] == [0.0, 0.0]
