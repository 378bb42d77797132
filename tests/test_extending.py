"""docs/extending.md: every file on the page is written out, every command run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}
BLOCK = re.compile(r"^```(\w+) ?([\w./]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "title", [title if title == "A reward" else pytest.param(title, marks=pytest.mark.slow) for title in SECTIONS]
)
def test_the_page_works_as_it_stands(title: str, tmp_path: Path) -> None:
    commands = []
    for language, name, text in BLOCK.findall(SECTIONS[title]):
        if name:
            (tmp_path / name).write_text(text)
        elif language == "bash":
            commands += text.splitlines()
    assert commands, "a section without a command shows nothing"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for command in commands:
        words = shlex.split(command, comments=True)
        assert words[0] == "r1"
        found = subprocess.run(
            [sys.executable, "-m", "r1kit", *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert found.returncode == 0, f"{command}: {found.stderr}{found.stdout[-500:]}"
