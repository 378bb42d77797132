"""JSON lines, and JSON files that hold one array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.files import Line, brief, json_table

__all__ = ["decoded_lines", "json_rows"]

HOLDS = "the columns of a row"
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What only a surrogate is written as, half of a pair or one of two."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def json_rows(path: Path, stream: IO[bytes], reading: Reading) -> Iterator[Line | InputError]:
    """Each object of a file, or what is wrong with its line. An array, whose text is held as a whole, is read too."""
    first = True
    lines = decoded_lines(path, stream, reading)
    for number, text in lines:
        if isinstance(text, InputError):
            yield text
            continue
        if not text.strip():
            continue
        if first and text.lstrip()[0] == "[":
            yield from _array(path, "".join([text, *map(_whole, lines)]), number)
            return
        first = False
        yield _row(text, f"{path}:{number}", number)


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
        if text[place : place + 1] == "]":
            return
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{line}: not valid JSON: {error}; the array cannot be read on") from None
        if isinstance(value, dict):
            yield _row(text[place:end], f"{path}:{line}", line)
        else:
            yield InputError(f"{path}:{line}: expected a JSON object with {HOLDS}, got {brief(value)}")
        place = space.match(text, end).end()  # type: ignore[union-attr]
        if text[place : place + 1] == ",":
            place += 1
        elif text[place : place + 1] != "]":
            raise InputError(f"{path}:{line}: not valid JSON: the array goes on without a comma or ends without ]")


def decoded_lines(path: Path, stream: IO[bytes], reading: Reading) -> Iterator[tuple[int, str | InputError]]:
    """(number from 1, text with its line end) of each line; what is wrong with one that is no UTF-8 or too long.

    Raises:
        InputError: the file is UTF-16.
    """
    number = 0
    while line := stream.readline(reading.longest_line + 1):
        number += 1
        if number == 1 and line[:2] in _UTF16:
            raise InputError(f"{path}: UTF-16 text; save it as UTF-8")
        where = f"{path}:{number}"
        if len(line) > reading.longest_line and not line.endswith(b"\n"):
            while (more := stream.readline(1 << 20)) and not more.endswith(b"\n"):
                pass
            yield number, InputError(f"{where}: longer than longest_line = {reading.longest_line} bytes")
            continue
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            told = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
            yield number, InputError(f"{where}: not readable as UTF-8 text: {told}")
