"""What pytest would do about parametrised tests and their fixtures, as plain Python: loops and calls.

``@pytest.mark.parametrize`` with ``ids`` and ``pytest.param``, stacked too; fixtures of the file that return or yield,
and ask for others. Each fixture is made once a test. Not covered, and refused: ``indirect``, marks of one case,
``xfail``, ``skipif``, ``usefixtures``; fixtures with a scope, ``params`` or ``autouse``, those of a class, and pytest's
own (``capsys``, ``tmp_path``).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

__all__ = ["asked_for", "fixtures_in", "run_of", "without_pytest"]

_LISTS = (ast.List, ast.Tuple)


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
    marks = [_name(one) for one in test.decorator_list]
    if refused := [mark for mark in marks if mark in ("mark.xfail", "mark.skipif", "mark.usefixtures")]:
        raise SyntaxError(f"{test.name} has {refused[0]}, which only pytest itself can keep")
    loops, given = _parameters(test)
    test.decorator_list = [
        one for one, mark in zip(test.decorator_list, marks, strict=True) if not mark.startswith("mark.")
    ]
    if "mark.skip" in marks:
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
    if any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in ast.walk(fixtures[name])):
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
        except ValueError:
            raise refused from None
        names = [name.strip() for name in said.split(",") if name.strip()] if isinstance(said, str) else list(said)
        alone = isinstance(said, str) and len(names) == 1
        values = _values(mark.args[1], alone)
        if not set(names) <= {each.arg for each in test.args.args} or "pytest.param(" in values:
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
    return needed[1:] if is_method else needed


def _is_fixture(node: ast.expr) -> bool:
    return _name(node) == "fixture"


def _name(node: ast.expr) -> str:
    """Of a decorator or a call, ``mark.parametrize`` for ``@pytest.mark.parametrize(...)``."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).removeprefix("pytest.")


def without_pytest(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements without the import of pytest where nothing of it is used any more."""
    used = {part.id for node in body for part in ast.walk(node) if isinstance(part, ast.Name)}
    return [node for node in body if not _is_idle(node, used)]


def _is_idle(node: ast.stmt, used: set[str]) -> bool:
    if isinstance(node, ast.Import):
        of_it = [alias.name for alias in node.names] == ["pytest"]
    else:
        of_it = isinstance(node, ast.ImportFrom) and node.module == "pytest"
    return of_it and not used & {alias.asname or alias.name for alias in getattr(node, "names", ())}
