"""The command's table and its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app


def test_the_table_and_its_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    said = CliRunner().invoke(
        app, ["plan", "nano-zero", "--gpus", "2", "--price", "3", "--json", str(file)], catch_exceptions=False
    ).output  # fmt: skip
    found = json.loads(file.read_text())
    assert (found["device"], found["devices"], list(found["stages"])) == ("h100", 2, ["pretrain", "r1_zero"])
    assert found["usd"] == pytest.approx(found["hours"] * 2 * 3)
    assert "Assumed, not measured:" in said
