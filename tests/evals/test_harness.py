"""Samples in lm-evaluation-harness's format, of tasks with one right answer and with several."""

from __future__ import annotations

import json
from pathlib import Path

from r1kit.evals.evaluator import Evaluation
from r1kit.evals.harness import write_harness
from r1kit.evals.settings import EvaluationConfig
from r1kit.evals.told import asked_of, evaluation_line
from r1kit.records import Completion, Group, Prompt, Sampling, Score

DONE = Completion(token_ids=(1,), logprobs=(0.0,), text="Sol", finish="stop")


def test_every_right_answer_is_a_target(tmp_path: Path) -> None:
    prompts = [
        Prompt(id="s/1", task="s", question="q", answer="Sun", also=("Sol",)),
        Prompt(id="s/2", task="s", question="r", answer="Sun"),
    ]
    groups = [Group(prompt=prompt, prompt_ids=(), completions=(DONE,)) for prompt in prompts]
    scores = [[Score(total=right, parts={"accuracy": right}, answer="Sun")] for right in (1.0, 0.0)]
    found = Evaluation(groups=groups, scores=scores, diagnostics=[[{}]] * 2)
    line = {"model": "m", **evaluation_line(found, EvaluationConfig(k=1))}
    samples, _ = write_harness(tmp_path, line, found, ["q", "r"], Sampling(n=1), {})
    rows = [json.loads(row) for row in samples.read_text().splitlines()]
    assert [row["target"] for row in rows] == [["Sun", "Sol"], "Sun"]
    assert [row["doc"]["answer"] for row in rows] == [["Sun", "Sol"], "Sun"]
    assert asked_of(prompts[:1]) != asked_of([Prompt(question="q", answer="Sun")])
