"""JSONL files read line by line; what is broken is told in one line with the file and the line's number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.sandbox import Case, parse_case

__all__ = ["Line", "read_lines"]


@dataclass(frozen=True, slots=True)
class Line:
    """One JSON object of a file."""

    where: str
    """``FILE:NUMBER``, for messages."""
    number: int
    table: Mapping[str, Any]

    def text(self, *keys: str, default: str | None = None) -> str:
        """The first of the keys that is there, as text that is not blank; numbers count as text. Where there is a
        default, blank text counts as not there."""
        for key in keys:
            value = self.table.get(key)
            if value is None or (default is not None and isinstance(value, str) and not value.strip()):
                continue
            if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
                raise InputError(f"{self.where}: {key!r} must be text, got {brief(value)}")
            return str(value)
        if default is None:
            raise self.lacks(" or ".join(map(repr, keys)), keys[0])
        return default

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        value = self.table.get(key, default)
        if value is None:
            raise self.lacks(repr(key), key)
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise InputError(f"{self.where}: {key!r} must be a list of strings, got {brief(value)}")
        return tuple(value)

    def cases(self, key: str, *, needed: bool = True) -> tuple[Case, ...]:
        """A list of tests, each ``{"call", "expect"}`` or ``{"stdin", "stdout"}``."""
        value = self.table.get(key, None if needed else [])
        if value is None:
            raise self.lacks(repr(key), key)
        if not isinstance(value, list) or (needed and not value):
            raise InputError(f"{self.where}: {key!r} must be a list of tests, got {brief(value)}")
        return tuple(parse_case(entry, f"{self.where}: {key}[{place}]") for place, entry in enumerate(value))

    def lacks(self, spelled: str, key: str) -> InputError:
        given = ", ".join(map(repr, self.table)) or "none"
        return InputError(f"{self.where}: no {spelled}; this line has {given}.{nearest(key, self.table)}")


def read_lines(path: Path, needs: str) -> Iterator[Line]:
    """The objects of a file; empty lines are skipped. ``needs`` says in an error what a line holds.

    Raises:
        InputError: a file that is missing, unreadable or empty, a line that is no JSON object.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as UTF-8 text: {error}") from None
    numbered = [(number, line) for number, line in enumerate(content.split("\n"), start=1) if line.strip()]
    if not numbered:
        raise InputError(f"{path}: empty; a line holds {needs}")
    for number, line in numbered:
        where = f"{path}:{number}"
        try:
            table = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not valid JSON: {error}") from None
        if not isinstance(table, dict):
            raise InputError(f"{where}: expected a JSON object with {needs}, got {brief(table)}")
        yield Line(where, number, table)


def brief(value: object) -> str:
    """A JSON value, cut to one short line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
