"""The package's import graph, read off the source: module -> the modules that it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

Graph = Mapping[str, frozenset[str]]


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module; a package's is its ``__init__.py``."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    """What a file says, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def import_graph(files: Mapping[str, Path], *, everywhere: bool) -> Graph:
    """Imports among ``files``.

    Args:
        files: see ``modules``.
        everywhere: also those inside functions and under TYPE_CHECKING, not only those that run with the module.
    """
    graph = {}
    for module, path in files.items():
        tree = tree_of(path)
        nodes = ast.walk(tree) if everywhere else at_import(tree)
        named = {name for node in nodes for name in imported(node, files)}
        graph[module] = frozenset(name for name in named if name in files and name != module)
    return graph


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when a module is imported: not inside functions, not under TYPE_CHECKING."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, (ast.If, ast.Try)):
            checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            todo += [*([] if checking else node.body), *node.orelse]


def imported(node: ast.AST, files: Mapping[str, Path]) -> list[str]:
    """Modules that a statement imports; ``from a import b`` is a.b where that is a module, else a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in files else node.module for name in inner]
    return []


def with_packages(graph: Graph) -> Graph:
    """Importing a.b.c runs a and a.b before it: edges to these too, where the importer is not inside them."""
    more = {}
    for module, names in graph.items():
        above = {parent for name in names for parent in parents(name) if not f"{module}.".startswith(f"{parent}.")}
        more[module] = names | (above & set(graph))
    return more


def parents(module: str) -> list[str]:
    """``a.b.c`` -> ``a``, ``a.b``."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, over however many others; the largest such groups."""
    reach = {module: reached(graph, module) for module in graph}
    found, seen = [], set()
    for module in graph:
        group = sorted(other for other in reach[module] if module in reach[other])
        if group and module not in seen:
            found.append(group)
            seen.update(group)
    return found


def reached(graph: Graph, module: str) -> set[str]:
    """What a module imports, directly or not."""
    found: set[str] = set()
    todo = [module]
    while todo:
        fresh = graph[todo.pop()] - found
        found |= fresh
        todo += fresh
    return found


def longest_chain(graph: Graph) -> list[str]:
    """A path of most imports through a graph without circles."""
    known: dict[str, list[str]] = {}

    def chain(module: str) -> list[str]:
        if module not in known:
            known[module] = [module, *max((chain(name) for name in sorted(graph[module])), key=len, default=[])]
        return known[module]

    return max((chain(module) for module in sorted(graph)), key=len)
