"""Examples for few-shot prompting of tasks that write none: training problems with their reference answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.factory.examples import FewShot, few_shot_question, shown_examples
from r1kit.tasks import build


def task_of(folder: Path, rows: list[dict[str, str]]) -> dict[str, object]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "held.jsonl").write_text('{"prompt": "9 + 1", "answer": "10"}\n')
    table = {"path": str(folder / "rows.jsonl"), "dev_share": 0.0, "test_path": str(folder / "held.jsonl")}
    return {"sums": build("sums", "jsonl", table)}


def test_training_problems_with_their_answers_marked(tmp_path: Path) -> None:
    tasks = task_of(tmp_path, [{"prompt": f"{n} + 1", "answer": str(n + 1)} for n in range(5)])
    shots = FewShot(shots=2)
    found = shown_examples(shots, tasks, "boxed", seed=1)  # type: ignore[arg-type]
    examples = found["sums", "en"]
    assert len({sample.prompt for sample in examples}) == 2
    for sample in examples:
        assert sample.response == f"\\boxed{{{int(sample.prompt.split()[0]) + 1}}}"
    (prompt,) = tasks["sums"].held_out("test")  # type: ignore[attr-defined]
    asked = few_shot_question(shots, found, prompt)
    assert asked == "".join(f"Question: {s.prompt}\nAnswer: {s.response}\n\n" for s in examples) + "Question: 9 + 1"


def test_too_few_problems_are_told(tmp_path: Path) -> None:
    tasks = task_of(tmp_path, [{"prompt": "1 + 1", "answer": "2"}])
    with pytest.raises(InputError, match="task 'sums' has no worked examples, and 1 of 64 training prompts"):
        shown_examples(FewShot(shots=2), tasks, "tag", seed=1)  # type: ignore[arg-type]


def test_a_file_that_is_all_test_has_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text('{"prompt": "9 + 1", "answer": "10"}\n')
    table = {"path": str(tmp_path / "all.jsonl"), "test_path": str(tmp_path / "all.jsonl")}
    with pytest.raises(InputError, match=r"task 'sums' has no training problems to show; name a file .*--examples"):
        shown_examples(FewShot(shots=1), {"sums": build("sums", "jsonl", table)}, "tag", seed=1)


def test_tasks_that_write_examples_show_those() -> None:
    tasks = {"countdown": build("countdown", "countdown", {})}
    found = shown_examples(FewShot(shots=1), tasks, "tag", seed=1)
    assert {language for _, language in found} == {"en", "zh"}
    assert "<think>" in found["countdown", "zh"][0].response
