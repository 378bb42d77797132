"""A repository and a file of its tests as what the sandbox runs: one program, and tests beside it.

The program holds the files in memory and imports them by a finder that comes last, so that no file of the repository
stands in for one of Python's library. Tests run in a process that never holds the program (``sandbox/tester.py``): what
they import of the repository is stood in for there, and nothing that a patch does reaches them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from r1kit.errors import InputError
from r1kit.sandbox import AssertTest
from r1kit.sandbox.trees import parses

__all__ = ["TestFile", "program_of", "test_file"]

_LOADER = """
import importlib.abc as _abc, importlib.util as _util, importlib as _importlib, sys as _sys

class _Repository(_abc.MetaPathFinder, _abc.Loader):
    def find_spec(self, name, path=None, target=None):
        base = name.replace(".", "/")
        for file, package in ((base + "/__init__.py", True), (base + ".py", False)):
            if file in _FILES:
                return _util.spec_from_loader(name, self, origin=file, is_package=package)
        if any(file.startswith(base + "/") for file in _FILES):
            return _util.spec_from_loader(name, self, origin="", is_package=True)
        return None

    def exec_module(self, module):
        file = module.__spec__.origin
        exec(compile(_FILES.get(file, ""), file or "<folder>", "exec"), module.__dict__)

_sys.meta_path.append(_Repository())
"""


@dataclass(frozen=True, slots=True)
class TestFile:
    """One file of tests."""

    path: str
    tests: Mapping[str, AssertTest]
    """By ``path::name``, in the file's order."""
    taken: tuple[tuple[str, str, str], ...]
    """What it imports of the repository, as (module, name, name here)."""


def program_of(files: Mapping[str, str], of: TestFile) -> str:
    """The repository as one program that defines what a test file imports of it."""
    modules = {path: text for path, text in files.items() if path.endswith(".py")}
    taken = [f"{here} = _importlib.import_module({module!r}).{name}" for module, name, here in of.taken]
    return "\n".join((f"_FILES = {modules!r}", _LOADER, *taken)) + "\n"


def test_file(path: str, text: str, files: Collection[str], where: str) -> TestFile:
    """A file of functions ``test_...`` without parameters.

    Raises:
        InputError: it is no Python, has no test, or does what tests beside the program cannot.
    """
    said = f"{where}: tests[{path!r}]"
    tree = parses(text)
    if tree is None:
        raise InputError(f"{said} is no Python")
    own = {file.partition("/")[0].removesuffix(".py") for file in files}
    taken: list[tuple[str, str, str]] = []
    rest: list[ast.stmt] = []
    for node in tree.body:
        module = node.module if isinstance(node, ast.ImportFrom) else None
        if isinstance(node, ast.ImportFrom) and module and not node.level and module.partition(".")[0] in own:
            if any(alias.name == "*" for alias in node.names):
                raise InputError(f"{said} imports * from {module}; name what the tests use")
            taken += [(module, alias.name, alias.asname or alias.name) for alias in node.names]
            continue
        for name in _imported(node):
            if name not in sys.stdlib_module_names:
                raise InputError(
                    f"{said} imports {name!r}; tests import Python's library, and of the repository by 'from MODULE "
                    f"import NAME'"
                )
        rest.append(node)
    body = "\n".join(map(ast.unparse, rest))
    found: dict[str, AssertTest] = {}
    for node in rest:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            if node.args.args or node.decorator_list:
                raise InputError(f"{said}: {node.name} takes arguments or is decorated; write plain functions")
            names = tuple(here for _, _, here in taken)
            found[f"{path}::{node.name}"] = AssertTest.of(f"{body}\n{node.name}()", "", names)
    if not found:
        raise InputError(f"{said} has no function test_...")
    return TestFile(path, found, tuple(taken))


def _imported(node: ast.stmt) -> list[str]:
    """First parts of the modules that a statement imports; '.' for a relative import."""
    found: list[str] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            found += [alias.name.partition(".")[0] for alias in part.names]
        elif isinstance(part, ast.ImportFrom):
            found.append((part.module or "").partition(".")[0] if not part.level else ".")
    return found
