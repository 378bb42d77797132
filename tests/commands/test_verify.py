from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.commands.arguments import named_task
from r1kit.commands.verify import _prompt as problem
from r1kit.contracts import Recipe
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


STARS = """
[model]
name = "m"
[tasks.stars]
kind = "data"
path = "{recipe}/stars.jsonl"
[stages.r1_zero]
"""


def test_a_task_of_which_nothing_is_held_out(tmp_path: Path) -> None:
    """It has the ids that ``r1 tasks --split train`` shows, and no ``stars/test/0``."""
    (tmp_path / "stars.jsonl").write_text(
        '{"question": "Which star?", "answer": ["Sun", "Sol"], "id": "a"}\n'
        '{"question": "Who?", "answer": "Bard", "id": "b"}\n'
    )
    (tmp_path / "stars.toml").write_text(STARS)
    asked = ("--task", "stars", "--recipe", str(tmp_path / "stars.toml"), "--answer", "sol")
    with pytest.raises(InputError, match=r"has no problem 'c'; r1 tasks shows ids, such as stars/4f2af08d55f71a20$"):
        verify(tmp_path, *asked, "--prompt-id", "c")
    with pytest.raises(InputError, match=r"asks that; name one with --prompt-id, such as stars/4f2af08d55f71a20$"):
        verify(tmp_path, *asked, "--question", "When?")
    assert verify(tmp_path, *asked)["prompt_id"] == "stars/4f2af08d55f71a20"
    assert verify(tmp_path, *asked, "--prompt-id", "stars/4f2af08d55f71a20")["reward"] == 1.0


def test_a_question_far_down_a_list_is_known(tmp_path: Path) -> None:
    """The first thousand of an endless stream are looked through, and all of a list."""
    rows = [json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) for n in range(1100)]
    (tmp_path / "stars.jsonl").write_text("\n".join(rows))
    task = named_task(
        str(tmp_path / "stars.jsonl"), Recipe(name="none"), ["test_path=", "dev_share=0", "test_share=0"]
    ).build()
    drawn = {task.train(index).question for index in range(1000)}
    asked = next(f"{n} + 1?" for n in range(1100) if f"{n} + 1?" not in drawn)
    assert problem(task, "", asked).question == asked


OWN = """
class Own:
    def train(self, index):
        return {"prompt": "1 + 1", "answer": 2}

    def held_out(self, split, limit=None):
        return [] if split == "test" else [][0]
"""


def test_what_a_users_task_raises_is_no_empty_split(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(InputError, match=r"own.py:7: IndexError"):
        verify(tmp_path, "--task", f"{tmp_path}/own.py:Own", "--answer", "1", "--prompt-id", "nope")


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
