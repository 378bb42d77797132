"""The direction of imports: cli, pipeline, stages, loops; engines, rewards, updates; models, tasks; records."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "r1kit"
LEVELS = {
    "cli": 7, "__main__": 8, "commands": 6, "launcher": 6, "pipeline": 5, "plan": 5,
    "stages": 4, "loops": 3, "workspace": 2, "checks": 5, "recipe": 2, "depends": 2,
    "backends": 2, "rollout": 2, "update": 2, "reward": 2, "evals": 2, "factory": 2, "report": 5,
    "contracts": 1, "registry": 1, "maths": 1, "sandbox": 1, "structure": 1, "model": 1, "tasks": 1, "cluster": 1,
    "apart": 1, "nano": 1, "files": 0, "seeds": 0, "records": 0, "errors": 0,
}  # fmt: skip
"""A module may import, at its top, only from its own level or below; what it needs from above it is handed."""
ALLOWED = {("recipe", "r1kit.stages")}
"""A recipe reads the table of contents of the stages, which is names alone; the stages themselves it loads by name."""
LIGHT = frozenset(
    "tasks nano seeds reward sandbox factory commands stages recipe structure contracts registry records files".split()  # noqa: SIM905
    + "apart errors cli checks launcher plan".split()  # noqa: SIM905
)
HEAVY = {"torch", "transformers"}
FILES = sorted(ROOT.rglob("*.py"))


def top_imports(path: Path) -> Iterator[str]:
    """Modules imported when the file is: not inside functions, not under TYPE_CHECKING."""
    todo: list[ast.stmt] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"r1kit.{alias.name}" for alias in node.names]
            yield from names if node.module == "r1kit" else [node.module]
        elif isinstance(node, (ast.If, ast.Try)):
            checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            todo += [] if checking else node.body
            todo += node.orelse


def part(module: str) -> str:
    """``r1kit.model.hub`` -> ``model``."""
    return module.split(".")[1] if module.count(".") else "records"


def name(path: Path) -> str:
    return ".".join(("r1kit", *path.relative_to(ROOT).with_suffix("").parts))


def test_every_part_has_a_level() -> None:
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES} - {"__init__", "_recipes"}
    assert parts == set(LEVELS)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_down(path: Path) -> None:
    if path.name == "__init__.py" and path.parent == ROOT:
        return
    own = part(name(path))
    for module in top_imports(path):
        if module.startswith("r1kit") and part(module) in LEVELS and (own, module) not in ALLOWED:
            assert LEVELS[part(module)] <= LEVELS[own], f"{name(path)} imports {module}, which is above it"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=name)
def test_stages_do_not_know_each_other(path: Path) -> None:
    assert not [module for module in top_imports(path) if module.startswith("r1kit.stages.")]


@pytest.mark.parametrize("path", [path for path in FILES if part(name(path)) in LIGHT], ids=name)
def test_light_modules_import_neither_torch_nor_transformers(path: Path) -> None:
    assert not {module.split(".")[0] for module in top_imports(path)} & HEAVY
