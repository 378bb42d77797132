"""A column by name, dotted path and list index (``reward_model.ground_truth``, ``messages[-1].content``): as it is, as
text, as true or false."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from r1kit.errors import InputError
from r1kit.files import Line, as_text, brief, spelled_json

__all__ = ["by_nearness", "column", "flag", "opened", "text_of", "there"]

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")


def column(line: Line, path: str) -> Any:
    """The value at a path of the row; a text that holds JSON is opened where the path goes through it.

    Raises:
        InputError: there is no such column; names those that are, the nearest first.
    """
    value = _walked(line, line.table, path)
    return _walked(line, line.spelled(), path) if isinstance(value, float) else value


def _walked(line: Line, table: Mapping[str, Any], path: str) -> Any:
    if path in table:  # a column whose own name has a dot
        return table[path]
    value: Any = table
    taken = ""
    for step in _steps(path):
        if not isinstance(value, (Mapping, Sequence)) or isinstance(value, str):
            value = opened(value)
        if isinstance(step, int):
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise _lacks(line, path, f"{taken} is no list: {brief(value)}")
            if not -len(value) <= step < len(value):
                raise _lacks(line, path, f"{taken} has {len(value)} item{'s' * (len(value) != 1)}")
            value, taken = value[step], f"{taken}[{step}]"
        else:
            if not isinstance(value, Mapping):
                raise _lacks(line, path, f"{taken} is no object: {brief(value)}")
            if step not in value:
                raise _lacks(line, path, f"{taken or 'the row'} has {by_nearness(step, value)}")
            value, taken = value[step], f"{taken}.{step}" if taken else step
    return value


def there(table: Mapping[str, Any], path: str) -> bool:
    """Whether a row has a value at a path, null not counted."""
    try:
        return column(Line("", 0, table), path) is not None
    except InputError:
        return False


def opened(value: Any) -> Any:
    """What a text holds as JSON, or as Python writes plain data; the value itself if it holds neither."""
    if not isinstance(value, str) or value.strip()[:1] not in ("{", "["):
        return value
    try:
        return spelled_json(value)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value


def _steps(path: str) -> list[str | int]:
    """Names and list indexes of a path. Raises InputError for what is none."""
    steps: list[str | int] = []
    place = 0
    while place < len(path) or not steps:
        found = _STEP.match(path, place)
        if found is None:
            raise InputError(
                f"columns: {path!r} is no path; write a column's name, name.name or name[0], such as "
                f"reward_model.ground_truth or messages[-1].content"
            )
        steps.append(found[1] if found[1] is not None else int(found[2]))
        place = found.end()
    return steps


def _lacks(line: Line, path: str, why: str) -> InputError:
    return InputError(f"{line.where}: no column {path!r}: {why}")


def by_nearness(word: str, names: Iterable[str]) -> str:
    """The names there are, the nearest to a word first."""
    names = sorted(names, key=lambda name: -difflib.SequenceMatcher(None, word.lower(), name.lower()).ratio())
    return ", ".join(map(repr, names)) or "no columns"


def text_of(line: Line, path: str) -> str:
    """A column as text that is not blank. A list of one counts as its item, as does a text that holds a
    list of one text (``["7"]``); ``[7]`` and ``[[1, 2]]`` are texts as they stand."""
    value = column(line, path)
    if value is None:
        raise line.lacks(repr(path), path)
    if isinstance(value, Mapping) and value:
        inside = ", ".join(map(str, value))
        texts = [key for key, part in value.items() if isinstance(part, str)]
        one = "value" if "value" in texts else next(iter([*texts, *value]))
        raise InputError(f"{line.where}: {path!r} is an object with {inside}; name one, as {path}.{one}")
    found = opened(value) if isinstance(value, str) and value.startswith("[") else value
    if isinstance(found, Sequence) and not isinstance(found, (str, bytes)) and len(found) == 1:
        value = found[0] if found is value or isinstance(found[0], str) else value
    return as_text(value, line.where, path)


def flag(line: Line, path: str) -> bool:
    value = column(line, path)
    said = {"true": True, "1": True, "safe": True, "good": True, "false": False, "0": False, "unsafe": False}
    said |= {"bad": False, "-1": False, "yes": True, "no": False}
    said |= {"harmful": False, "unharmful": True}
    found = said.get(str(value).strip().lower().removesuffix(".0"))
    if found is None:
        raise InputError(f"{line.where}: {path!r} must be true or false, got {brief(value)}")
    return found
