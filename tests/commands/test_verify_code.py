"""``r1 verify --code``: the source's four candidate answers, what is printed and written, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.errors import InputError, MissingError

TESTS = """\
{"call": "f([3, 1])", "expect": [42, 1, 3]}
{"call": "f([])", "expect": [42]}
{"call": "f([5, 5, -1])", "expect": [42, -1, 5, 5]}
"""
NO_CODE = "Sorting a list and putting 42 at the start is easy: first sort it, then put 42 at the start."
NOT_PYTHON = "```python\nfunction f(x) { return [42].concat(x.sort()); }\n```"
FAILING = "Here it is:\n```python\ndef f(x):\n    x.append(42)\n    return sorted(x)\n```"
RIGHT = "<think> sort, then 42 first </think>\n```python\ndef f(x):\n    return [42] + sorted(x)\n```\n"

needs_walls = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


def verify(folder: Path, answer: str, *more: str, name: str = "answer.md", tests: str = TESTS) -> dict[str, object]:
    (folder / name).write_text(answer)
    (folder / "tests.jsonl").write_text(tests)
    told = folder / "told.json"
    command = ["verify", "--code", str(folder / name), "--tests", str(folder / "tests.jsonl"), "--json", str(told)]
    done = CliRunner().invoke(app, [*command, *more])
    if done.exception is not None:
        raise done.exception
    return {"printed": done.output, **json.loads(told.read_text())}


def rungs(block: bool, lint: bool, runs: bool, passed: int, speed: float | None = None) -> dict[str, object]:
    return {"block": block, "lint": lint, "runs": runs, "tests": {"passed": passed, "total": 3}, "speed": speed}


@needs_walls
@pytest.mark.parametrize(
    ("answer", "cause", "reward", "reached"),
    [
        (NO_CODE, "no_code", 0.0, rungs(False, False, False, 0)),
        (NOT_PYTHON, "not_python", 0.0, rungs(True, False, False, 0)),
        (FAILING, "wrong_answer", 0.0, rungs(True, True, True, 1)),
        (RIGHT, "ok", 1.0, rungs(True, True, True, 3)),
    ],
    ids=["no code", "not Python", "plausible but failing", "right"],
)
def test_four_candidate_answers(
    tmp_path: Path, answer: str, cause: str, reward: float, reached: dict[str, object]
) -> None:
    found = verify(tmp_path, answer)
    assert (found["cause"], found["reward"], found["rungs"]) == (cause, reward, reached)
    assert f"L3 tests  {reached['tests']['passed']} of 3" in str(found["printed"])  # type: ignore[index]


@needs_walls
def test_a_bare_program_and_its_speed(tmp_path: Path) -> None:
    program = "def f(x):\n    return [42, *sorted(x)]\n"
    (tmp_path / "slow.py").write_text("def f(x):\n    sum(range(2000))\n    return [42, *sorted(x)]\n")
    found = verify(tmp_path, program, "--reference", str(tmp_path / "slow.py"), name="fast.py")
    speed = found["rungs"]["speed"]  # type: ignore[index]
    assert isinstance(speed, float)
    assert speed > 0.3
    assert found["reward"] == 1.0  # speed pays nothing unless asked to


@needs_walls
def test_lint_finds_what_running_does_not_reach(tmp_path: Path) -> None:
    found = verify(tmp_path, "def f(x):\n    return [42, *sorted(x)]\n\ndef g():\n    return missing\n", name="a.py")
    assert found["cause"] == "ok"
    assert found["rungs"]["lint"] is False  # type: ignore[index]
    assert "line 5: F821" in str(found["printed"])


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("", "empty; a line holds a test"),
        ('{"call": "f(1)", "expected": 1}\n', ":1: its keys are call, expected"),
        ('{"call": "f(1", "expect": 1}\n', "is not a Python expression"),
        ('\n{"stdin": "1"\n', ":2: not valid JSON"),
        ('{"stdin": 1, "stdout": "1"}\n', "must be strings"),
        ("[1]\n", ":1: expected a JSON object with a test"),
    ],
)
def test_broken_tests_are_refused_in_one_line(tmp_path: Path, tests: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        verify(tmp_path, RIGHT, tests=tests)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_walls_it_refuses_and_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="sudo apt-get install bubblewrap"):
        verify(tmp_path, RIGHT)
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["cause"], told["reward"]) == ("sandbox_missing", 0.0)
