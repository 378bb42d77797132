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


def test_a_task_that_grades_nothing_has_no_number_of_it(tmp_path: Path) -> None:
    """It had exact_match 0; one response that failed made avg@k 0 too."""
    groups = [
        Group(prompt=Prompt(id=f"s/{n}", task="s", question="q"), prompt_ids=(), completions=(DONE,)) for n in "ab"
    ]
    judged = Score(total=1.0, parts={"format": 1.0}, abstained=("accuracy",))
    failed = Score(total=0.0, parts={"accuracy": 0.0, "format": 1.0}, status="timeout", cause="slow")
    found = Evaluation(groups=groups, scores=[[judged], [failed]], diagnostics=[[{}]] * 2)
    line = {"model": "m", **evaluation_line(found, EvaluationConfig(k=1))}
    assert line["avg_at_k"] is None
    samples, results = write_harness(tmp_path, line, found, ["q", "q"], Sampling(n=1), {})
    rows = [json.loads(row) for row in samples.read_text().splitlines()]
    assert [("exact_match" in row, row["metrics"], row["filtered_resps"]) for row in rows] == [(False, [], ["Sol"])] * 2
    table = json.loads(results.read_text())
    assert (table["results"], table["higher_is_better"]) == ({"s": {"alias": "s"}}, {"s": {}})
    assert table["configs"]["s"]["metric_list"] == []
