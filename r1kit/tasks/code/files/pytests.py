"""What pytest would do about parametrised tests and their fixtures, as plain Python: loops and calls.

``@pytest.mark.parametrize`` with ``ids`` and ``pytest.param``, stacked too; fixtures of the file that return or yield,
and ask for others; ``raises``, ``approx`` and ``fail`` (``plain_pytest.py``). Each fixture is made once a test. Not
covered, and refused: ``indirect``, marks of one case, ``xfail``, ``skipif``, ``usefixtures`` and what unittest has of
these; fixtures with a scope, ``params`` or ``autouse``, those of a class, and pytest's own (``capsys``, ``tmp_path``).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["asked_for", "beside", "fixtures_in", "is_skipped", "last_of_each", "plainly_named", "run_of", "yields"]

_LISTS, _FUNCTIONS = (ast.List, ast.Tuple), (ast.FunctionDef, ast.AsyncFunctionDef)
_REFUSED = ("xfail", "skipif", "usefixtures", "skipIf", "skipUnless", "expectedFailure")


def last_of_each(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Without tests that a later one of the same name replaces, as Python has it."""
    named = [node for node in body if isinstance(node, (*_FUNCTIONS, ast.ClassDef))]
    last = {node.name: node for node in named}
    hidden = [node for node in named if node.name.lower().startswith("test") and last[node.name] is not node]
    return [node for node in body if node not in hidden]


def fixtures_in(body: Sequence[ast.stmt]) -> dict[str, ast.FunctionDef]:
    """The fixtures of a file, by name, which are plain functions from here on.

    Raises:
        SyntaxError: one is more than a function's result.
    """
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and (marks := [one for one in node.decorator_list if _is_fixture(one)]):
            settings = [key for mark in marks if isinstance(mark, ast.Call) for key in mark.keywords]
            if any(key.arg != "scope" or ast.unparse(key.value) != "'function'" for key in settings):
                raise SyntaxError(f"fixture {node.name!r} has settings, which only pytest itself can keep")
            node.decorator_list = [one for one in node.decorator_list if one not in marks]
            found[node.name] = node
        if isinstance(node, ast.ClassDef) and any(
            _is_fixture(one) for part in node.body for one in getattr(part, "decorator_list", ())
        ):
            raise SyntaxError(f"class {node.name} has fixtures of its own, which only pytest itself can make")
    return found


def run_of(
    test: ast.FunctionDef, called: str, fixtures: Mapping[str, ast.FunctionDef], before: Sequence[str] = ()
) -> str:
    """Statements that run a test as often as it is parametrised, without its decorators; empty where it is skipped.

    Args:
        called: how it is called, ``each.test_a`` for a method.
        before: statements that come first each time.

    Raises:
        SyntaxError: it asks for what the file does not give.
    """
    loops, given = _parameters(test)
    if is_skipped(test):
        return ""
    made, after = dict(given), list[str]()
    lines = list(before)
    asked = asked_for(test, "." in called)
    for name in asked:
        _make(name, (test.name,), fixtures, made, lines, after)
    lines += [f"{called}({', '.join(f'{name}={made[name]}' for name in dict.fromkeys([*asked, *given]))})", *after]
    for loop in loops:
        lines = [loop, *(f"    {line}" for line in lines)]
    return "\n".join(lines)


def is_skipped(test: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a test, or a class of them, is passed by; pytest's marks are taken off.

    Raises:
        SyntaxError: it has one that says more than that.
    """
    marks = [_name(one).rpartition(".")[2] for one in test.decorator_list]
    if refused := [mark for mark in marks if mark in _REFUSED]:
        raise SyntaxError(f"{test.name} has {refused[0]}, which only what runs tests can keep")
    test.decorator_list = [one for one in test.decorator_list if not _name(one).startswith("mark.")]
    return "skip" in marks


def _make(
    name: str, askers: tuple[str, ...], fixtures: Mapping[str, ast.FunctionDef], made: dict[str, str],
    lines: list[str], after: list[str],
) -> None:  # fmt: skip
    """Add the lines that make a fixture, and what it asks for, unless it is there, and those that end it."""
    if name in made:
        return
    if name not in fixtures or name in askers:
        raise SyntaxError(f"{askers[-1]} asks for {name!r}, which is no parameter and no fixture that these tests give")
    asked = asked_for(fixtures[name])
    for other in asked:
        _make(other, (*askers, name), fixtures, made, lines, after)
    call, made[name] = f"{name}({', '.join(f'{other}={made[other]}' for other in asked)})", f"_{name}_"
    if yields(fixtures[name]):
        lines += [f"_{name}_run = {call}", f"_{name}_ = next(_{name}_run)"]
        after.insert(0, f"next(_{name}_run, None)")
    else:
        lines.append(f"_{name}_ = {call}")


def _parameters(test: ast.FunctionDef) -> tuple[list[str], dict[str, str]]:
    """(``for _case0 in [...]:``, a line a decorator; name of a parameter -> expression)."""
    loops, given = list[str](), dict[str, str]()
    for place, mark in enumerate(test.decorator_list):
        if _name(mark) != "mark.parametrize":
            continue
        refused = SyntaxError(f"the parameters of {test.name} are given in a way that only pytest itself can follow")
        if not isinstance(mark, ast.Call) or any(key.arg != "ids" for key in mark.keywords) or len(mark.args) != 2:
            raise refused
        try:
            said = ast.literal_eval(mark.args[0])
        except (ValueError, TypeError):
            raise refused from None
        names = [name.strip() for name in said.split(",") if name.strip()] if isinstance(said, str) else said
        known = [each.arg for each in (*test.args.args, *test.args.kwonlyargs)]
        if not names or not isinstance(names, (list, tuple)) or any(name not in known for name in names):
            raise refused
        alone = isinstance(said, str) and len(names) == 1
        values = _values(mark.args[1], alone)
        if "pytest.param(" in values or values == "[]":
            raise refused
        loops.append(f"for _case{place} in {values}:")
        given |= {name: f"_case{place}" if alone else f"_case{place}[{at}]" for at, name in enumerate(names)}
    return loops, given


def _values(node: ast.expr, alone: bool) -> str:
    """The cases as an expression, each ``pytest.param(...)`` of a written list as its values."""
    if not isinstance(node, _LISTS):
        return ast.unparse(node)
    cases = []
    for case in node.elts:
        plain = isinstance(case, ast.Call) and _name(case) == "param" and all(key.arg == "id" for key in case.keywords)
        if plain and isinstance(case, ast.Call):
            case = case.args[0] if alone and case.args else ast.Tuple(case.args, ast.Load())
        cases.append(ast.unparse(case))
    return f"[{', '.join(cases)}]"


def asked_for(function: ast.FunctionDef, is_method: bool = False) -> list[str]:
    """The arguments that it must be given."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    needed = names[: len(names) - len(function.args.defaults)]
    by_name = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return [*needed[1 if is_method else 0 :], *(each.arg for each, default in by_name if default is None)]


def yields(node: ast.AST) -> bool:
    """Whether a function is a generator, whatever those inside it are."""
    return any(
        isinstance(part, (ast.Yield, ast.YieldFrom))
        or (not isinstance(part, (*_FUNCTIONS, ast.Lambda, ast.ClassDef)) and yields(part))
        for part in ast.iter_child_nodes(node)
    )


def _is_fixture(node: ast.expr) -> bool:
    return _name(node) == "fixture"


def _name(node: ast.expr) -> str:
    """Of a decorator or a call, ``mark.parametrize`` for ``@pytest.mark.parametrize(...)``."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).removeprefix("pytest.")


def plainly_named(tree: ast.Module) -> ast.Module:
    """Without imports from pytest, and with what they name as ``pytest.raises``, whatever the file calls it.

    Raises:
        SyntaxError: a name means more than that, or ``pytestmark`` has a mark that only pytest itself can keep.
    """
    found = {
        alias.asname or alias.name: alias.name if isinstance(node, ast.Import) else f"pytest.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if "pytest" in (alias.name if isinstance(node, ast.Import) else "", getattr(node, "module", ""))
    }
    if "*" in found:
        raise SyntaxError("it imports whatever pytest has; name what is used")
    tree = _Plainly(found).visit(tree)
    marks = [
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    for node in marks:
        told = {x.attr for x in ast.walk(node.value) if isinstance(x, ast.Attribute)}
        if refused := sorted(told & {*_REFUSED, "skip", "parametrize"}):
            raise SyntaxError(f"pytestmark has {refused[0]}, which only pytest itself can keep")
    tree.body = [node for node in tree.body if node not in marks and not isinstance(node, ast.Pass)]
    return tree


class _Plainly(ast.NodeTransformer):
    def __init__(self, found: Mapping[str, str]) -> None:
        self.found = found

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.found:
            return node
        if not isinstance(node.ctx, ast.Load):
            raise SyntaxError(f"{node.id!r} is imported from pytest and means something else too")
        return ast.copy_location(ast.parse(self.found[node.id], mode="eval").body, node)

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        node.names = [alias for alias in node.names if alias.name != "pytest"]
        return node if node.names else ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return ast.Pass() if node.module == "pytest" else node


def beside(code: str) -> str:
    """What tests that use pytest's names begin with: plain equivalents, or the package's import.

    Raises:
        SyntaxError: they use what cannot be told, there or here.
    """
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "pytest"}
    if refused := sorted(used & {"param", "warns", "deprecated_call"}):
        raise SyntaxError(f"pytest.{refused[0]} stands where only pytest itself can follow it")
    if used <= {"raises", "approx", "fail"}:
        return Path(__file__).with_name("plain_pytest.py").read_text(encoding="utf-8") if used else ""
    return "import pytest"
