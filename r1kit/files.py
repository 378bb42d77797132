"""Files: whole-file replacement, whether a place can be written, JSON lines.

JSON lines are read strictly (a user's input) or forgivingly (a log that may be torn). Both readers take a byte order
mark, CRLF line ends and empty lines. A line ends at a line feed only, so that a text with U+2028 in it stays in one
piece.
"""

from __future__ import annotations

import errno
import json
import math
import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, nearest

__all__ = [
    "Line", "Number", "as_text", "brief", "check_text", "check_utf8", "check_writable", "forgiving_lines", "is_there",
    "json_fault", "json_table", "object_of", "open_files", "spelled_json", "stage_folder", "strict_lines",
    "write_atomic", "write_json",
]  # fmt: skip

LONGEST_NUMBER = 40
"""Digits that a number with an exponent is written out to."""


def write_atomic(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader, or a kill, sees the old text or the new. One writer at a time."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write that fails does not say where
        temporary.unlink(missing_ok=True)
        raise


def open_files(wanted: int) -> int:
    """How many files this process, and each that it starts, can hold open, where that is fewer than ``wanted``; the
    soft limit is raised where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return soft


def is_there(path: Path) -> bool:
    """As ``Path.exists``; what is too long to name a file is none, however Python sees it: RUN:STAGE may be."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def stage_folder(run: Path, number: int, stage: str) -> Path:
    """Where a stage of a run lies. One that was made when the recipe had more stages before it, or fewer, keeps the
    number that it had then: what is done stays done, and its results name files by their paths."""
    usual = run / f"{number:02d}_{stage}"
    if usual.is_dir():
        return usual
    return next((path for path in sorted(run.glob(f"[0-9][0-9]_{stage}")) if path.is_dir()), usual)


def check_utf8(folder: Path, option: str) -> None:
    """Refuse a folder whose name is no UTF-8: tokenizers and many others cannot write into one.

    Raises:
        InputError: it is one.
    """
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(folder).decode("utf-8", "backslashreplace")
        raise InputError(
            f"{option}: the name {shown} is not UTF-8, and no tokenizer can be written there; choose another"
        ) from None


def check_text(text: str, what: str) -> None:
    """Refuse what a user typed where it is no UTF-8: neither a tokenizer nor a file of ours can take it.

    Args:
        what: how the message calls it.

    Raises:
        InputError: it is not.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what} is not UTF-8 text")


def check_writable(path: Path | None) -> None:
    """Refuse a place that cannot be written before the work, not after it; a folder that is not there is made."""
    if path is None:
        return
    try:
        if _is_stream(path):
            return
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; name a file")
        temporary = path.absolute().with_name(f".{path.absolute().name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a place that can be written to") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """One JSON object, written as a whole or not at all; where a link leads to, or into a pipe or a device."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    if _is_stream(path):
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    else:
        write_atomic(path.resolve(), text)


def _is_stream(path: Path) -> bool:
    """A pipe or a device, such as /dev/stdout: nothing that another file could take the place of."""
    return path.exists() and not path.is_dir() and (path.is_relative_to("/dev") or not path.is_file())


@dataclass(frozen=True, slots=True)
class Line:
    """One JSON object of a file."""

    where: str
    """``FILE:NUMBER``, for messages."""
    number: int
    """Of the line, from 1."""
    table: Mapping[str, Any]
    holds: str = ""
    """What a line is made of, for messages."""
    raw: str = field(default="", repr=False, compare=False)
    """Its JSON as the file has it; empty where there is none."""

    def spelled(self) -> Mapping[str, Any]:
        """The table, with numbers that keep their spelling where there is one."""
        return spelled_json(self.raw) if self.raw else self.table

    def text(self, *keys: str, default: str | None = None) -> str:
        """The first of the keys that is there, as text that is not blank; numbers count as text. Where there is a
        default, blank text counts as not there."""
        for key in keys:
            value = self.table.get(key)
            if value is None or (default is not None and isinstance(value, str) and not value.strip()):
                continue
            return as_text(self.spelled()[key] if isinstance(value, float) else value, self.where, key)
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

    def lacks(self, spelled: str, key: str) -> InputError:
        """The error for a key that is not there."""
        needed = f"a line holds {self.holds}; " if self.holds else ""
        if key in self.table:
            return InputError(f"{self.where}: no {spelled}, it is null; {needed}".rstrip("; "))
        given = ", ".join(map(repr, self.table)) or "none"
        return InputError(f"{self.where}: no {spelled}; {needed}this one has {given}.{nearest(key, self.table)}")


class Number(float):
    """A JSON number with a point or an exponent. As text it is written as in the file, ``0.10``, with its exponent
    worked out, ``0.00001`` for ``1e-05``."""

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, spelling: str) -> Number:
        made = super().__new__(cls, spelling)
        made.spelling = spelling
        return made

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.spelling,)

    def __str__(self) -> str:
        return _written_out(self.spelling)


def _written_out(spelling: str) -> str:
    """A number without its exponent, where that takes no more than ``LONGEST_NUMBER`` digits."""
    if "e" not in spelling.lower():
        return spelling
    number = Decimal(spelling)
    return format(number, "f") if abs(number.adjusted()) <= LONGEST_NUMBER else spelling


def spelled_json(text: str) -> Any:
    """A JSON value whose numbers keep their spelling. Raises ValueError or RecursionError."""
    return json.loads(text.lstrip("\ufeff"), parse_float=Number)


def as_text(value: Any, where: str, key: str) -> str:
    """A value as text that is not blank: a text as it is, a number as the file spells it.

    A number that no file spells, as one of a parquet file, is written without an exponent, and 42.0 as 42.

    Raises:
        InputError: it is anything else, NaN and infinity among them, or a text that no file can hold.
    """
    if isinstance(value, str) and value.strip():
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise InputError(f"{where}: {key!r} holds half a surrogate pair, which is no text: {brief(value)}")
        if "\0" in value:
            raise InputError(f"{where}: {key!r} holds a NUL character: {brief(value)}")
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, (date, time, timedelta)):
        raise InputError(
            f"{where}: {key!r} must be text or a number, got the {type(value).__name__} {value}; write it as text in "
            f"the file, in the form in which it is to be answered"
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{where}: {key!r} must be text or a number, got {brief(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        why = ", which stands for a missing value" if math.isnan(value) else ""
        raise InputError(f"{where}: {key!r} must be text or a number, got {brief(value)}{why}")
    if isinstance(value, float) and not isinstance(value, Number):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else _written_out(repr(value))
    return str(value)


def strict_lines(path: Path, holds: str, *, may_be_empty: bool = False) -> Iterator[Line]:
    """The JSON objects of a file; ``holds`` says in an error what a line is made of.

    Raises:
        InputError: the file is missing, unreadable or (unless it may be) empty, or a line is no JSON object; one line
            that names the file and the line's number.
    """
    some = may_be_empty
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for number, text in enumerate(stream, start=1):
                if text.strip():
                    some = True
                    yield Line(f"{path}:{number}", number, json_table(text, f"{path}:{number}", holds), holds, text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not readable as UTF-8 text: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a file of JSON lines") from None
    if not some:
        raise InputError(f"{path}: empty; a line holds {holds}")


def json_table(text: str, where: str, holds: str) -> dict[str, Any]:
    """The object that a line holds. Raises InputError for anything else."""
    if "\0" in text:
        raise InputError(f"{where}: NUL bytes, as a file holds after a crash; mend the line or delete it")
    try:
        table = json.loads(
            text.rstrip().lstrip("\ufeff")
        )  # a file that was put together out of others has marks inside
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON: {json_fault(error)}; mend the line or delete it") from None
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a JSON object with {holds}, got {brief(table)}")
    return table


def json_fault(error: BaseException) -> str:
    """What is wrong with a JSON text, without the number of its line, which the file's is not."""
    return (
        f"{error.msg.removesuffix(' at')} at column {error.colno}"
        if isinstance(error, json.JSONDecodeError)
        else str(error)
    )


def forgiving_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """(objects of a file in order, how many lines were left out: torn ones and those that hold no object).

    A file that is not there has no lines.
    """
    rows: list[dict[str, Any]] = []
    skipped = 0
    if not path.is_file():
        return rows, skipped
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            row = object_of(line)
            if row is None:
                skipped += 1
            else:
                rows.append(row)
    return rows, skipped


def object_of(line: str) -> dict[str, Any] | None:
    """The JSON object that a line holds; None for a torn line, and for one that holds something else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def brief(value: object) -> str:
    """A JSON value, cut to one short line."""
    text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= 60 else f"{text[:57]}..."
