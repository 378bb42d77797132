from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.errors import InputError


def verify(tmp_path: Path, *arguments: str) -> dict[str, object]:
    file = tmp_path / "score.json"
    command = ["verify", "--json", str(file), *arguments]
    CliRunner().invoke(app, command, catch_exceptions=False)
    found: dict[str, object] = json.loads(file.read_text())
    return found


def test_a_bare_answer_earns_accuracy_and_no_format(tmp_path: Path) -> None:
    asked = ("--task", "countdown", "--question", "use 7 1 5 make 34")
    right = verify(tmp_path, *asked, "--answer", "7 * 5 - 1")
    assert (right["reward"], right["cause"]) == (1.0, "ok")
    assert right["parts"] == {"accuracy": 1.0, "format": 0.0, "language": 1.0}
    assert verify(tmp_path, *asked, "--answer", "7 * 5")["reward"] == 0.0


def test_a_whole_completion_earns_both(tmp_path: Path) -> None:
    text = "<think> try 7 * 5 = 35 - 1 = 34 yes </think> <answer> 7 * 5 - 1 </answer>"
    asked = ("--task", "countdown", "--question", "use 7 1 5 make 34", "--recipe", "nano-zero")
    assert verify(tmp_path, *asked, "--answer", text)["reward"] == 1.2


def test_problems_by_id_or_the_first_one(tmp_path: Path) -> None:
    first = verify(tmp_path, "--task", "countdown", "--answer", "1")
    assert first["prompt_id"] == "countdown/test/0"
    named = verify(tmp_path, "--task", "countdown", "--answer", "1", "--prompt-id", "countdown/dev/3")
    assert named["prompt_id"] == "countdown/dev/3"
    trained = verify(tmp_path, "--task", "reasoning_gym/chain_sum", "--answer", "1", "--prompt-id", "any/train/5")
    assert trained["prompt_id"] == "reasoning_gym/chain_sum/train/5"


@pytest.mark.parametrize("number", ["²", "x", "-1"])
def test_a_training_problem_that_is_no_number(tmp_path: Path, number: str) -> None:
    with pytest.raises(InputError, match=f"task 'countdown' has no problem 'countdown/train/{number}'; r1 tasks shows"):
        verify(tmp_path, "--task", "countdown", "--answer", "1", "--prompt-id", f"countdown/train/{number}")


def test_a_question_that_a_file_does_not_ask(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text('{"prompt": "1 + 1", "answer": 2, "id": "a"}\n')
    with pytest.raises(InputError, match=r"no problem of task 'sums' asks that; name one with --prompt-id, such as s"):
        verify(tmp_path, "--task", str(file), "--question", "2 + 2", "--answer", "4")


@pytest.mark.parametrize("option", ["--answer", "--question"])
def test_what_is_no_text_is_refused(tmp_path: Path, option: str) -> None:
    """Before it is judged, and not when ``--json`` cannot hold it."""
    typed = {"--task": "countdown", "--answer": "1", "--question": "use 1 2 3 make 6", option: "1\udcff"}
    with pytest.raises(InputError, match=f"{option} is not UTF-8 text"):
        verify(tmp_path, *(part for pair in typed.items() for part in pair))


def test_a_program_and_a_task_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--tests and --reference judge a program by its tests, --task, --answer"):
        verify(tmp_path, "--code", "a.py", "--tests", "a.jsonl", "--task", "countdown")


def test_a_folder_of_tests(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)")
    with pytest.raises(InputError, match=r"Is a directory; name a file of JSON lines$"):
        verify(tmp_path, "--code", str(tmp_path / "a.py"), "--tests", str(tmp_path))
