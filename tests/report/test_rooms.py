"""``read/`` knows nothing of drawing; ``draw/`` reads no run folder."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[2] / "r1kit" / "report"
DRAWING = ("plotly", "jinja2", "markupsafe", "rich", "r1kit.report.draw")
FOLDERS = tuple(f"r1kit.report.read.{name}" for name in ("run_folder", "stage_folder", "logs"))


def imports(path: Path) -> set[str]:
    """Modules that the file imports anywhere, inside functions too."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in found if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", sorted((ROOM / "read").glob("*.py")), ids=lambda path: path.name)
def test_what_is_read_is_not_drawn(path: Path) -> None:
    assert [name for name in imports(path) if name.startswith(DRAWING)] == []
    assert "<" + "div" not in path.read_text(encoding="utf-8")
    assert "var(--" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOM / "draw").glob("*.py")), ids=lambda path: path.name)
def test_what_is_drawn_was_read(path: Path) -> None:
    assert [name for name in imports(path) if name in FOLDERS] == []
