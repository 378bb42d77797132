"""Hidden tests as data: calls with the value to expect, or standard input with the output to expect.

A file holds one JSON object a line: ``{"call": "f([3, 1])", "expect": [42, 1, 3]}`` or
``{"stdin": "3 1\\n", "stdout": "42 1 3\\n"}``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.files import strict_lines
from r1kit.sandbox.trees import defined, missing

__all__ = ["AssertTest", "CallTest", "Case", "StdinTest", "imported_by", "parse_case", "read_cases"]

FORMS = 'a test is {"call": ..., "expect": ...} or {"stdin": ..., "stdout": ...}'
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class CallTest:
    """One call and the value it must return."""

    call: str
    """A Python expression, for example ``f([3, 1])``."""
    expect: Any
    """Plain data; floats are compared with a tolerance."""
    python: bool = False
    """It was written in Python, as an assert, so that a tuple is no list and the key 1 is not ``"1"``. Else it is JSON,
    which cannot tell them apart."""
    others: tuple[Any, ...] = ()
    """Values that are as right."""


@dataclass(frozen=True, slots=True)
class StdinTest:
    """One input of a whole program and the output it must print."""

    stdin: str
    stdout: str
    """Compared line by line, without trailing spaces and blank lines at the end; floats with a tolerance."""


@dataclass(frozen=True, slots=True)
class AssertTest:
    """Python that raises where the program is wrong: asserts that are more than a call with a value to expect."""

    code: str
    """It runs in a process that holds plain data of the program's, and nothing else of it."""
    names: tuple[str, ...]
    """What it uses of the program's."""
    setup: str = ""
    """What the question gives, and the tests use."""

    @classmethod
    def of(cls, code: str, setup: str = "", also: Collection[str] = ()) -> AssertTest:
        """With the names that neither the test nor what the question gives defines. Modules of the standard library
        are imported, the program's own are not asked for. ``also``: names that are the program's though Python, its
        library or the question has them too.

        Raises:
            SyntaxError: one of them is not Python.
        """
        tree, given = ast.parse(code), ast.parse(setup)
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names = missing(code) - defined(given) | read & set(also)
        modules = sorted((names - set(also)) & set(sys.stdlib_module_names))
        errors = sorted(names.difference(modules) & _caught(tree))
        first = [*(f"import {name}" for name in modules), *(f"class {name}(Exception): pass" for name in errors)]
        return cls(code, tuple(sorted(names.difference(modules, errors))), "\n".join([*first, setup]))


def _caught(tree: ast.Module) -> set[str]:
    """Names of errors that tests wait for. The program's own cannot cross; classes of their names stand for them."""
    places: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            places.append(node.type)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _WAITING:
            places += [*node.args[:1], *(key.value for key in node.keywords if key.arg == "expected_exception")]
    parts = [part for place in places for part in (place.elts if isinstance(place, ast.Tuple) else [place])]
    return {part.id for part in parts if isinstance(part, ast.Name)}


_WAITING = ("raises", "assertRaises", "assertRaisesRegex")


Case = CallTest | StdinTest | AssertTest


def imported_by(tests: Iterable[Case]) -> set[str]:
    """Modules, without their parts, that tests import themselves."""
    found: set[str] = set()
    for text in {text for test in tests if isinstance(test, AssertTest) for text in (test.code, test.setup)}:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def read_cases(path: Path) -> list[Case]:
    """The tests of a JSON lines file, blank lines left out.

    Raises:
        InputError: a file or a line that cannot be used, or no test at all.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MB; split it")
    return [parse_case(line.table, line.where) for line in strict_lines(path, f"a test: {FORMS}")]


def parse_case(entry: Any, where: str = "test") -> Case:
    """One test from its JSON object; ``where`` is named in errors.

    Raises:
        InputError: other keys, or values of the wrong kind.
    """
    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: {FORMS}")
    keys = set(entry)
    if keys == {"call", "expect"}:
        _check_call(entry["call"], where)
        return CallTest(entry["call"], entry["expect"])
    if keys == {"stdin", "stdout"}:
        if not isinstance(entry["stdin"], str) or not isinstance(entry["stdout"], str):
            raise InputError(f"{where}: stdin and stdout must be strings")
        return StdinTest(entry["stdin"], entry["stdout"])
    wrong = sorted(str(key) for key in keys - {"call", "expect", "stdin", "stdout"})
    hint = nearest(wrong[0], ["call", "expect", "stdin", "stdout"]) if wrong else ""
    raise InputError(f"{where}: its keys are {', '.join(map(str, entry)) or 'none'}; {FORMS}.{hint}")


def _check_call(call: Any, where: str) -> None:
    if not isinstance(call, str):
        raise InputError(f"{where}: call must be a string that holds a Python expression, such as f([3, 1])")
    try:
        ast.parse(call, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"{where}: call {call[:80]!r} is not a Python expression") from error
