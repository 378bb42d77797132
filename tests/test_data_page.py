"""docs/data.md: every file on the page is written out, every command run, and what it shows compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.data.settings import ROLES, Reading
from r1kit.recipe import load_recipe
from r1kit.tasks.data import DataConfig

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ?([\w./]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_what_the_page_shows_is_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = []
    for (language, name, text), (_, _, expected) in zip(BLOCKS, [*BLOCKS[1:], ("", "", "")], strict=True):
        if language == "bash":
            found = CliRunner().invoke(app, shlex.split(text)[1:])
            told = f"r1: {found.exception}\n" if name == "fails" else found.output
            assert told == expected
            assert (found.exit_code == 0) == (name != "fails")
            shown.append(text)
        elif name:
            (tmp_path / name).write_text(text)
    assert len(shown) == 6
    assert load_recipe("mine.toml").tasks["gsm8k"].test_split == "test"
    assert load_recipe("chain.toml").stages["pretrain"].data == str(tmp_path / "books")


def test_the_page_has_every_setting_and_role() -> None:
    for key in (*Reading.__dataclass_fields__, *DataConfig.__dataclass_fields__, *ROLES):
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", PAGE), key
