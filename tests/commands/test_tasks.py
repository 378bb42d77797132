from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.errors import InputError


def tasks(*arguments: str) -> str:
    return CliRunner().invoke(app, ["tasks", *arguments], catch_exceptions=False).output


def test_kinds_and_generators() -> None:
    kinds = ["countdown", "turns", "general", "code/list_ops", "structured/forms", "code/FORMAT/FILE.jsonl"]
    kinds += ["structured/FILE.jsonl", "swe/FILE.jsonl", "benchmark/SOURCE", "reasoning_gym/NAME", "verifiers/NAME"]
    kinds += ["FILE,", "FILE.py:NAME"]
    assert sorted(line.split()[0] for line in tasks().splitlines()) == sorted(kinds)
    assert "\nchain_sum\n" in tasks("reasoning_gym")


def test_problems_come_with_an_answer_that_verify_accepts() -> None:
    shown = tasks("countdown", "--show", "2")
    assert shown.count("  question: ") == 2
    question, answer = (shown.split(f"  {key}")[1].split("\n")[0].strip() for key in ("question:", "answer:"))
    scored = CliRunner().invoke(app, ["verify", "--task", "countdown", "--question", question, "--answer", answer])
    assert "accuracy  1 x 1" in scored.output


def test_a_recipe_s_task_and_a_file_s_lines(tmp_path: Path) -> None:
    assert "dev_multisets = 24" in tasks("countdown", "--recipe", "nano-zero", "--show", "0")
    file = tmp_path / "sums.jsonl"
    file.write_text('{"prompt": "1 + 1", "answer": 2}\n')
    assert "question: 1 + 1\n  answer:   2" in tasks(str(file))


def test_code_tasks_by_name(tmp_path: Path) -> None:
    shown = tasks("code/list_ops", "--show", "3")
    assert shown.count("  question: ") == 3
    assert "  answer:   " in shown
    path = tmp_path / "sums.jsonl"
    path.write_text('{"id": "s", "prompt": "Print the sum.", "tests": [{"stdin": "1 2", "stdout": "3"}]}\n')
    assert "question: Print the sum." in tasks(f"code/stdio/{path}")
    for name, told in (
        ("code/stdio", "write code/stdio/FILE.jsonl"),
        ("code/list_op", "mean 'code/list_ops'?"),
    ):
        refused = CliRunner().invoke(app, ["tasks", name])
        assert isinstance(refused.exception, InputError)
        assert told in str(refused.exception)


def test_bad_lines_are_skipped_from_the_first_line_on(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text('{"prompt": "1 +\n{"prompt": "1 + 1", "answer": 2}\n')
    assert "question: 1 + 1\n  answer:   2" in tasks(str(file), "--set", "bad_lines=skip")
    with pytest.raises(InputError, match=r"sums\.jsonl:1: not valid JSON"):
        tasks(str(file))
    file.write_text('{"prompt"\n{"text": "Write f.", "test_list": ["assert f(1) == 2"]}\n')
    assert "kind code/mbpp" in tasks(str(file), "--set", "bad_lines=skip", "--set", "sandbox.kind=bubblewrap")


def test_a_row_with_an_answer_that_is_no_problem_says_why(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text('{"prompt": "1 + 1", "answer": "2", "target": "3"}\n')
    assert "  no task: " + str(file) + ":1: 'answer' and 'target' could each be the answer" in tasks(str(file))
    file.write_text('{"prompt": "1 + 1", "answer": null}\n')
    assert "the row has 'prompt', 'answer' (null)" in tasks(str(file))
    file.write_text('{"prompt": "1 + 1", "response": "2"}\n')
    assert "no task" not in tasks(str(file))


def test_a_csv_file_holds_lists_as_text(tmp_path: Path) -> None:
    file = tmp_path / "mbpp.csv"
    file.write_text('text,test_list,code\nWrite f.,"[""assert f(1) == 2"", ""assert f(2) == 3""]",x = 1\n')
    assert "tests: 2 to 2 a problem, 2 in all" in tasks(str(file))
    file.write_text("text,test_list,code\nWrite f.,\"['assert f(1) == 2']\",x = 1\n")  # as pandas writes it
    assert "tests: 1 to 1 a problem, 1 in all" in tasks(str(file))
