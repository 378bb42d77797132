"""The docs say what is there: files and functions of the paper map, the README's commands and tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`(r1kit/[\w/]+\.py)`((?:: |, )(?:`\w+`(?: \(`[\w-]+`\))?(?:, )?)+)?")


def places() -> Iterator[tuple[str, str]]:
    """(file, name) of everything that the paper map points at."""
    for file, names in PLACE.findall((ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")):
        without_settings = re.sub(r" \(`[\w-]+`\)", "", names)
        for name in re.findall(r"`(\w+)`", without_settings):
            yield file, name


def defined(file: Path) -> set[str]:
    """Names that a module defines at its top."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_paper_map_points_somewhere() -> None:
    found = list(places())
    assert len(found) > 25
    wrong = [place for place in found if not (ROOT / place[0]).is_file() or place[1] not in defined(ROOT / place[0])]
    assert wrong == []


def test_the_readme_s_commands_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    shown = set(re.findall(r"^r1 ([\w-]+)", README, re.MULTILINE))
    assert shown == known


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_s_make_targets_exist(command: str) -> None:
    assert command in README
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_readme_s_tree_is_the_tree() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    inside = set(re.findall(r"^  ([\w.]+?)/? {2,}", tree, re.MULTILINE))
    there = {path.name for path in (ROOT / "r1kit").iterdir() if path.suffix == ".py" or path.is_dir()}
    beside = {"apart.py", "commands", "checks.py", "structure.py"}  # named in another one's line
    assert inside == there - beside - {"__init__.py", "__main__.py", "__pycache__"}
