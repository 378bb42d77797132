"""A program as its syntax tree: whether it is Python, what it defines, what it needs. Nothing is run."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
import textwrap
import warnings
from collections.abc import Iterator

__all__ = ["defined", "library_imports", "missing", "parsed", "parses", "reads_input", "stubs"]

LONGEST = 100_000
"""Characters of a program that is looked at; what is longer counts as no Python."""
_BUILT_IN = frozenset(dir(builtins)) | {"__file__", "__name__", "exit", "quit"}


def parses(text: str) -> ast.Module | None:
    """The program's tree; None if it is not Python."""
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" and the like are the program's own affair
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def parsed(text: str) -> tuple[str, ast.Module] | None:
    """The program and its tree, moved to the left margin where it is Python only there; None if it is not Python."""
    tree = parses(text)
    if tree is None and text[:1] in " \t\n":
        text = textwrap.dedent(text)
        tree = parses(text)
    return None if tree is None else (text, tree)


def defined(tree: ast.Module) -> set[str]:
    """Names that the module has once it was loaded, as far as they are written out."""
    found: set[str] = set()
    for node in _statements(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.With)):
            found.update(
                part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            )
    return found


def stubs(tree: ast.Module) -> set[str]:
    """Names of functions, and of classes of functions, that a module leaves to be written: ``...``, ``pass``."""
    return {node.name for node in tree.body if isinstance(node, _DEFINITIONS) and _is_stub(node)}


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.ClassDef):
        inside = [part for part in node.body if isinstance(part, _DEFINITIONS)]
        return bool(inside) and all(map(_is_stub, inside))
    return all(
        isinstance(part, ast.Pass)
        or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        or (isinstance(part, ast.Raise) and part.exc is not None and "NotImplementedError" in ast.unparse(part.exc))
        for part in node.body
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module, the insides of ``if``, ``try``, ``with`` and loops counted, of functions and classes not."""
    for node in body:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, name, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def library_imports(tree: ast.Module) -> str:
    """Its imports of the standard library, as a program."""
    found = []
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        if names and all(name.partition(".")[0] in sys.stdlib_module_names for name in names):
            found.append(ast.unparse(node))
    return "\n".join(found)


def missing(text: str) -> set[str]:
    """Names that a program reads from its module and nothing in it defines, those that Python has left out; none if it
    is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = [symtable.symtable(text, "<program>", "exec")]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return set()
    top, read, bound = tables[0], set[str](), set[str]()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table is top or symbol.is_global():
                own = symbol.is_assigned() or symbol.is_imported() or (table is top and symbol.is_namespace())
                (bound if own else read).add(symbol.get_name())
    return read - bound - _BUILT_IN


def reads_input(tree: ast.Module) -> bool:
    """Whether it names standard input: ``input()``, ``sys.stdin``, ``open(0)``."""
    for node in ast.walk(tree):
        if (isinstance(node, ast.Name) and node.id in ("input", "stdin")) or (
            isinstance(node, ast.Attribute) and node.attr == "stdin"
        ):
            return True
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in ("open", "fdopen", "read") and node.args[0].value in (0, "/dev/stdin"):
                return True
    return False
