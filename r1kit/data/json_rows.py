"""JSON lines, and JSON files that hold one array of objects, or one object with such an array in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from r1kit.data.chats import is_chat
from r1kit.data.decoded import decoded_lines
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.files import Line, brief, json_fault, json_table

__all__ = ["json_rows"]

HOLDS = "the columns of a row"
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What only a surrogate is written as, half of a pair or one of two."""
_SOMETHING = re.compile(r"\S")


def json_rows(
    path: Path, stream: IO[bytes], reading: Reading, *, document: bool = False
) -> Iterator[Line | InputError]:
    """Each object of a file, or what is wrong with its line. An array is read too, and in a ``document`` one object
    over many lines; their text is held as a whole."""
    first = True
    lines = decoded_lines(path, stream, reading)
    for number, text in lines:
        if isinstance(text, InputError):
            yield text
            continue
        if not text.strip():
            continue
        row = _row(text, f"{path}:{number}", number)
        if first and text.lstrip()[0] == "[":
            whole = "".join([text, *map(_whole, lines)])
            if _SOMETHING.search(whole, len(text)) and is_chat(text):
                raise InputError(
                    f'{path}:{number}: a list of turns on each line; write a chat a line as {{"messages": [...]}}'
                )
            yield from _array(path, whole, number)
            return
        if first and _is_document(path, row):
            yield from _document(path, "".join([text, *map(_whole, lines)]), row)
            return
        first = False
        yield row


def _is_document(path: Path, first: Line | InputError) -> bool:
    """Whether a file seems to be one object, by its first line: one of rows, or of many lines."""
    named = ".json" in path.name.lower().split(".jsonl")[0]
    if isinstance(first, InputError):
        return named
    return bool(_turned(first.table)) or (named and _holds_arrays(first.table))


def _holds_arrays(table: Mapping[str, Any]) -> bool:
    """Whether an object holds nothing but arrays of objects."""
    return bool(table) and all(
        isinstance(value, list) and value and all(isinstance(item, dict) for item in value) for value in table.values()
    )


def _turned(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Index -> row of an object as pandas' ``to_json`` writes a table: by columns (its default), by rows, split in
    three, or with its schema. Empty for any other object, whose index is no numbers too."""
    inner = [value for value in table.values() if isinstance(value, dict) and value]
    if {"columns", "index", "data"} == set(table) and _holds_rows(table["columns"], table["data"]):
        return {str(place): dict(zip(table["columns"], row, strict=True)) for place, row in enumerate(table["data"])}
    if {"schema", "data"} == set(table) and inner[:1] == [table["schema"]] and _holds_arrays({"data": table["data"]}):
        return {str(place): row for place, row in enumerate(table["data"])}
    if not table or len(inner) < len(table):
        return {}
    if all(map(str.isdecimal, table)):
        return dict(table)
    keys = list(inner[0])
    same = all(map(str.isdecimal, keys)) and all(list(column) == keys for column in inner)
    return {key: {name: column[key] for name, column in table.items()} for key in keys} if same else {}


def _holds_rows(columns: Any, rows: Any) -> bool:
    """Whether these are columns' names and, for each row, a list of as many values."""
    if not isinstance(columns, list) or not isinstance(rows, list) or not all(isinstance(one, str) for one in columns):
        return False
    return all(isinstance(row, list) and len(row) == len(columns) for row in rows)


def _document(path: Path, text: str, first: Line | InputError) -> Iterator[Line | InputError]:
    """The rows of a file that is one object: those of the one array in it, or the object itself."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        if isinstance(first, InputError):
            raise first from None
        rest = text.splitlines(keepends=True)
        yield from (_row(line, f"{path}:{number}", number) for number, line in enumerate(rest, 1) if line.strip())
        return
    if isinstance(table, dict) and (turned := _turned(table)):
        for place, (key, row) in enumerate(turned.items()):
            yield _row(json.dumps(row), f"{path} row {key}", place + 1)
        return
    if not isinstance(table, dict) or not _holds_arrays(table):
        yield _row(text, f"{path}:1", 1)
        return
    if len(table) > 1:
        raise InputError(f"{path}: several arrays of rows, {', '.join(table)}; write each into a file of its own")
    ((key, rows),) = table.items()
    for place, row in enumerate(rows):
        yield _row(json.dumps(row), f"{path} {key}[{place}]", place + 1)


def _whole(line: tuple[int, str | InputError]) -> str:
    """A line of an array, which has no line to leave out."""
    if isinstance(line[1], InputError):
        raise line[1]
    return line[1]


def _row(text: str, where: str, number: int) -> Line | InputError:
    try:
        table = json_table(text, where, HOLDS)
        if _HALF.search(text):
            _refuse_halves(table, where)
    except InputError as error:
        return error
    return Line(where, number, table, "", text)


def _refuse_halves(table: object, where: str) -> None:
    try:
        json.dumps(table, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        found = brief(str(error.object)[max(0, error.start - 20) : error.end + 5])
        raise InputError(f"{where}: half a surrogate pair, which is no text: {found}") from None


def _array(path: Path, text: str, number: int) -> Iterator[Line | InputError]:
    """The items of an array that begins on line ``number``; one that breaks off is told after those before it."""
    decoder = json.JSONDecoder()
    space = re.compile(r"[\s]*")
    place = text.index("[") + 1
    line, counted = number, 0
    while True:
        place = space.match(text, place).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, place), place
        if text[place : place + 1] == "]":
            _refuse_more(path, text, place + 1, line)
            return
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{line}: not valid JSON: {json_fault(error)}; the array ends there") from None
        if isinstance(value, dict):
            yield _row(text[place:end], f"{path}:{line}", line)
        else:
            yield InputError(f"{path}:{line}: expected a JSON object with {HOLDS}, got {brief(value)}")
        place = space.match(text, end).end()  # type: ignore[union-attr]
        if text[place : place + 1] == ",":
            place += 1
        elif text[place : place + 1] != "]":
            raise InputError(f"{path}:{line}: not valid JSON: the array goes on without a comma or ends without ]")


def _refuse_more(path: Path, text: str, end: int, line: int) -> None:
    """Nothing but white space may follow the array that ends at ``end``, on this line."""
    if more := _SOMETHING.search(text, end):
        line += text.count("\n", end, more.start())
        found = text[more.start() : more.start() + 80].splitlines()[0]
        raise InputError(
            f"{path}:{line}: {found!r} after the end of the array; a file holds one array, or an object a line: "
            f"put all rows into one array, or each on a line without [ and ]"
        )
