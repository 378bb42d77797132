"""``r1 check`` on a user's rewards: a mistake is one line and exit code 2; his source is part of the stage's key."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.depends import changes, depends_on, stage_keys
from r1kit.errors import InputError
from r1kit.recipe import load_recipe
from r1kit.reward.trial import try_rewards

RECIPE = """
[tasks.countdown]
[model]
name = "nowhere"
[stages.r1_zero]
reward = {parts = {accuracy = 1.0, "{recipe}/mine.py:NAME" = 0.1}}
"""
GOOD = """
import math
from beside import scale

def brevity(prompt, completion, target):
    assert prompt.facts["target"] == target and completion.finish == "stop"
    return -scale * len(completion)

def whole(prompts, completions, **columns):
    assert len(completions) == len(columns["target"]) == 2
    return [None, 1.0]

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": 1.0, "numbers": len(extra_info["numbers"])}
"""
BAD = """
import os, sys, time

def divides(prompt, completion):
    return 1 / 0

def loops(prompt, completion):
    while True:
        pass

def ends(prompt, completion):
    os._exit(4)

def leaves(prompt, completion):
    sys.exit("bye")

def nan(prompt, completion):
    return float("nan")

def text(prompt, completion):
    return "1"

def one(prompts, completions, **columns):
    return [1.0]

def wants(prompt, completion, solution):
    return 0.0

def other(text):
    return 0.0

async def later(prompt, completion):
    return 0.0

constant = 3
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(text: str, name: str) -> Path:
        (tmp_path / "beside.py").write_text("scale = 0.5\n")
        (tmp_path / "mine.py").write_text(text)
        (tmp_path / "mine.toml").write_text(RECIPE.replace("NAME", name))
        return tmp_path / "mine.toml"

    return write


@pytest.mark.parametrize("name", ["brevity", "whole", "compute_score"])
def test_what_works_passes(recipe: Callable[[str, str], Path], name: str) -> None:
    try_rewards(load_recipe(str(recipe(GOOD, name))))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "divides",
            "mine.py:5: ZeroDivisionError: division by zero (tried on countdown/train/0 and its reference answer)",
        ),
        ("loops", "mine.py:loops, tried on countdown/train/0, took more than 5 s and was stopped"),
        ("ends", "mine.py:ends, tried on countdown/train/0, ended the process: exit code 4"),
        ("leaves", "mine.py:15: SystemExit: bye"),
        ("nan", "mine.py:nan gave nan; a reward is a finite number"),
        ("text", "mine.py:text gave str '1'; a reward is a number"),
        ("one", "mine.py:one gave 1 values for 2 completions; give each one, or None"),
        ("wants", "mine.py:wants asks for 'solution'; there are "),
        ("other", "mine.py:other is not a reward: write f(prompt, completion), TRL's f(prompts, completions"),
        ("later", "mine.py:later is async; a reward is a plain function: write f(prompt, completion)"),
        ("constant", "mine.py:constant is int 3, not a function"),
        ("divide", "has no 'divide'. Did you mean 'divides'?"),
    ],
)
def test_a_mistake_is_one_line(recipe: Callable[[str, str], Path], name: str, line: str) -> None:
    with pytest.raises(InputError) as told:
        try_rewards(load_recipe(str(recipe(BAD, name))))
    assert str(told.value).startswith("stages.r1_zero.reward.parts: ")
    assert line in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(prompt, completion)\n    return 1\n", "mine.py:1: SyntaxError: expected ':'"),
        ("import no_such_package\n", "mine.py:1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\nraise RuntimeError('at import')\n", "mine.py:2: RuntimeError: at import"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(recipe: Callable[[str, str], Path], text: str, line: str) -> None:
    with pytest.raises(InputError, match=f"^stages.r1_zero.reward.parts: .*{line}"):
        try_rewards(load_recipe(str(recipe(text, "f"))))


def test_r1_check_refuses_with_exit_code_2_and_does_not_import_the_file_itself(
    recipe: Callable[[str, str], Path],
) -> None:
    path = recipe("import os\nopen(os.path.dirname(__file__) + '/pids', 'a').write(f'{os.getpid()} ')\n", "f")
    command = [sys.executable, "-m", "r1kit", "check", str(path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith("r1: stages.r1_zero.reward.parts: ")
    assert refused.stderr.endswith("mine.py has no 'f'.\n")
    assert len((path.parent / "pids").read_text().split()) == 1
    path.with_name("mine.py").unlink()
    with pytest.raises(InputError, match="no such file"):
        CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)


def test_the_key_follows_the_file_and_what_it_imports_from_beside_it(recipe: Callable[[str, str], Path]) -> None:
    path = recipe(GOOD, "brevity")
    first = stage_keys(load_recipe(str(path)))
    assert stage_keys(load_recipe(str(path))) == first
    before = depends_on(load_recipe(str(path)), "r1_zero", {})
    (path.parent / "other.py").write_text("scale = 1\n")
    assert stage_keys(load_recipe(str(path))) == first
    (path.parent / "beside.py").write_text("scale = 0.25\n")
    second = stage_keys(load_recipe(str(path)))
    assert second != first
    path.with_name("mine.py").write_text(GOOD + "\n# a change\n")
    assert stage_keys(load_recipe(str(path))) not in (first, second)
    after = depends_on(load_recipe(str(path)), "r1_zero", {})
    assert changes(before, after) == "beside.py was edited; mine.py was edited"


def test_r1_verify_shows_a_function_s_part(recipe: Callable[[str, str], Path], tmp_path: Path) -> None:
    path = recipe(GOOD, "brevity")
    asked = ["verify", "--task", "countdown", "--question", "use 7 1 5 make 34", "--answer", "7 * 5 - 1"]
    shown = CliRunner().invoke(app, [*asked, "--recipe", str(path)], catch_exceptions=False).output
    text = "<answer> 7 * 5 - 1 </answer>"
    assert f"mine.py:brevity {-0.5 * len(text):g} x 0.1" in shown
    assert f"reward    {1.0 - 0.05 * len(text):g}" in shown
    mine = str(path.with_name("mine.py"))
    shown = CliRunner().invoke(app, [*asked, "--reward", f"{mine}:compute_score"], catch_exceptions=False).output
    assert "mine.py:compute_score         1 x 1" in shown
    assert "mine.py:compute_score/numbers 3" in shown
    with pytest.raises(InputError, match="Did you mean 'brevity'"):
        CliRunner().invoke(app, [*asked, "--reward", f"{mine}:brevty"], catch_exceptions=False)


def test_a_module_that_is_installed_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "rewards.py").write_text("def short(completion):\n    return 1.0\n")
    (tmp_path / "r.toml").write_text(RECIPE.replace("{recipe}/mine.py:NAME", "my_package.rewards:short"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    load = "from r1kit.recipe import load_recipe; from r1kit.reward.trial import try_rewards"
    code = f"import sys; {load}; try_rewards(load_recipe(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "r.toml")], env=environment, check=True)
