"""docs/python.md, from top to bottom; and what ``import r1kit`` costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import r1kit

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(session, "docs/python.md", "exec"), {})


def test_every_public_name_is_there() -> None:
    for name in r1kit.__all__:
        assert getattr(r1kit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        r1kit.nosuch  # noqa: B018


def test_the_import_loads_nothing_heavy() -> None:
    code = "import sys, r1kit; print({'torch', 'transformers', 'numpy', 'typer'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("countdwn", r"task 'countdwn', which the recipe does not have; its tasks: countdown\..* Did you mean"),
        ("", "a question that was asked as a text is of no task"),
    ],
)
def test_scoring_a_prompt_of_another_task_is_one_line(task: str, told: str) -> None:
    group = r1kit.Group(
        prompt=r1kit.Prompt(question="use 1 2 make 3", answer=None, task=task), prompt_ids=(1,), completions=()
    )
    with pytest.raises(r1kit.InputError, match=told):
        r1kit.score([group], r1kit.load_recipe("nano-zero"), "r1_zero")
