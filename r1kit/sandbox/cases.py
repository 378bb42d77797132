"""Hidden tests as data: calls with the value to expect, or standard input with the output to expect.

A file holds one JSON object a line: ``{"call": "f([3, 1])", "expect": [42, 1, 3]}`` or
``{"stdin": "3 1\\n", "stdout": "42 1 3\\n"}``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.files import strict_lines

__all__ = ["CallTest", "Case", "StdinTest", "parse_case", "read_cases"]

FORMS = 'a test is {"call": ..., "expect": ...} or {"stdin": ..., "stdout": ...}'
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class CallTest:
    """One call and the value it must return."""

    call: str
    """A Python expression, for example ``f([3, 1])``."""
    expect: Any
    """Plain data. Lists and tuples are one kind; floats are compared with a tolerance."""


@dataclass(frozen=True, slots=True)
class StdinTest:
    """One input of a whole program and the output it must print."""

    stdin: str
    stdout: str
    """Compared line by line, without trailing spaces and blank lines at the end; floats with a tolerance."""


Case = CallTest | StdinTest


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
