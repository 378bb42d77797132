"""The walls: the direction of imports, no circle, short chains, light modules, short files and functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from imports import (
    Graph,
    at_import,
    circles,
    import_graph,
    imported,
    longest_chain,
    modules,
    reached,
    tree_of,
    with_packages,
)

from r1kit.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent / "r1kit"
LEVELS = {
    "cli": 7, "__main__": 8, "api": 7, "commands": 6, "launcher": 6, "pipeline": 5, "plan": 5,
    "stages": 4, "loops": 3, "workspace": 2, "checks": 5, "recipe": 2, "depends": 2, "contents": 1, "trackers": 5,
    "backends": 2, "rollout": 2, "vllm": 2, "update": 2, "reward": 2, "evals": 2, "factory": 3, "report": 5, "web": 5,
    "serving": 3, "contracts": 1, "registry": 1, "maths": 1, "sandbox": 1, "structure": 1, "model": 1, "text": 1,
    "checkpoint": 1, "tasks": 1, "cluster": 1, "search": 2,
    "suits": 5, "unread": 5,
    "apart": 1, "resume": 1, "growth": 0, "data": 1, "nano": 3, "interrupts": 0, "early": 0, "files": 0, "seeds": 0,
    "records": 0, "errors": 0, "answers": 0, "faults": 1, "users_code": 0,
}  # fmt: skip
"""A module may import, at its top, only from its own level or below; what it needs from above it is handed."""
ALLOWED = {("recipe", "r1kit.stages")}
"""A recipe reads the table of contents of the stages, which is names alone; the stages themselves it loads by name."""
LIGHT = frozenset(
    "tasks nano seeds reward sandbox factory commands stages recipe structure contracts registry records files".split()  # noqa: SIM905
    + "data answers apart errors cli checks suits unread launcher plan early".split()  # noqa: SIM905
)
HEAVY = {"torch", "transformers"}
FILES = modules(ROOT)
graph_of = cache(partial(import_graph, FILES))

LONGEST_CHAIN = 12
"""Modules on the longest path of imports, at import time."""
LONGEST_FILE, LONGEST_FUNCTION = 350, 60
"""Lines."""


def part(module: str) -> str:
    """``r1kit.checkpoint.hub`` -> ``checkpoint``."""
    return module.split(".")[1] if module.count(".") else "records"


def test_every_part_has_a_level() -> None:
    assert {part(module) for module in FILES if module.count(".")} - {"_recipes"} == set(LEVELS)


def test_imports_point_down() -> None:
    up = [
        f"{module} imports {other}"
        for module, others in graph_of(everywhere=False).items() if module != "r1kit"
        for other in others if (part(module), other) not in ALLOWED and LEVELS[part(other)] > LEVELS[part(module)]
    ]  # fmt: skip
    assert up == []


def test_stages_do_not_know_each_other() -> None:
    stages = {module: graph_of(everywhere=False)[module] for module in FILES if module.startswith("r1kit.stages.")}
    assert [(module, other) for module, others in stages.items() for other in others & set(stages)] == []


def test_no_circle() -> None:
    """Neither at import time nor by what functions and types import, the packages that are run first counted."""
    assert circles(graph_of(everywhere=False)) == []
    assert circles(with_packages(graph_of(everywhere=True))) == []


def test_chains_of_imports_are_short() -> None:
    chain = longest_chain(graph_of(everywhere=False))
    assert len(chain) <= LONGEST_CHAIN, " -> ".join(chain)


def test_only_nano_imports_nano() -> None:
    """It enters by the door that a user's file does: by name."""
    users = [
        module for module, others in graph_of(everywhere=True).items()
        if part(module) != "nano" and any(part(other) == "nano" for other in others)
    ]  # fmt: skip
    assert users == []


def test_a_command_is_a_file_and_a_file_a_command() -> None:
    files = {module.rpartition(".")[2] for module in FILES if module.startswith("r1kit.commands.")}
    helpers = {"arguments", "options"}
    assert {command.__module__.rpartition(".")[2] for command in COMMANDS.values()} == files - helpers


# ---- light modules -------------------------------------------------------------------------------------------------


def heavy(module: str) -> set[str]:
    """Heavy packages that a module imports at its top."""
    statements = at_import(tree_of(FILES[module]))
    return {name.split(".")[0] for node in statements for name in imported(node, FILES)} & HEAVY


def test_light_modules_import_neither_torch_nor_transformers() -> None:
    assert [module for module in FILES if part(module) in LIGHT and heavy(module)] == []


def test_the_command_and_its_check_reach_nothing_heavy() -> None:
    """Not even through others: ``r1 --help`` and ``r1 check`` answer at once."""
    graph = with_packages(graph_of(everywhere=False))
    stages = [module for module in FILES if module.startswith("r1kit.stages.")]
    for start in ("r1kit.cli", "r1kit.checks", "r1kit.recipe", *stages):
        assert [module for module in reached(graph, start) if heavy(module)] == [], start


# ---- size ----------------------------------------------------------------------------------------------------------


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines) of every function and method."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_files_and_functions_are_short() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert [(module, count) for module, count in lines.items() if count > LONGEST_FILE] == []
    long = [(module, *found) for module, path in FILES.items() for found in functions(path)]
    assert [found for found in long if found[2] > LONGEST_FUNCTION] == []


# ---- the walk itself -----------------------------------------------------------------------------------------------

GRAPH: Graph = {
    "p": frozenset(), "p.a": frozenset({"p.b.c"}), "p.b": frozenset({"p.b.c"}), "p.b.c": frozenset({"p.d"}),
    "p.d": frozenset(),
}  # fmt: skip


def test_a_package_that_is_run_first_closes_a_circle() -> None:
    """p.d -> p.b.x runs p.b, which imports p.b.c, which imports p.d."""
    assert circles(GRAPH) == []
    closed = {**GRAPH, "p.b.x": frozenset(), "p.d": frozenset({"p.b.x"})}
    assert circles(closed) == []
    assert circles(with_packages(closed)) == [["p.b", "p.b.c", "p.d"]]


def test_the_longest_chain_is_the_longest() -> None:
    assert longest_chain(GRAPH) in (["p.a", "p.b.c", "p.d"], ["p.b", "p.b.c", "p.d"])


def test_imports_inside_functions_and_for_types_are_seen(tmp_path: Path) -> None:
    package = tmp_path / "p"
    package.mkdir()
    for name in ("__init__", "b", "c", "d"):
        (package / f"{name}.py").write_text("")
    (package / "a.py").write_text(
        "from p import b\nif TYPE_CHECKING:\n    import p.c\ndef f():\n    from p.d import x\n    import torch\n"
    )
    files = modules(package)
    assert import_graph(files, everywhere=False)["p.a"] == {"p.b"}
    assert import_graph(files, everywhere=True)["p.a"] == {"p.b", "p.c", "p.d"}
