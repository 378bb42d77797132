"""Tables of text (CSV, TSV) and plain text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from r1kit.data.decoded import decoded_lines
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.files import Line

__all__ = ["csv_rows", "text_rows"]


def csv_rows(path: Path, stream: IO[bytes], reading: Reading) -> Iterator[Line | InputError]:
    """Each row under the header, every cell as text, or what is wrong with it. Fields are parted by commas, in a
    ``.tsv`` by tabs; by semicolons or tabs where the header has no comma."""
    csv.field_size_limit(reading.longest_line)
    bad: list[InputError] = []
    numbers: list[int] = []

    def lines() -> Iterator[str]:
        for number, text in decoded_lines(path, stream, reading):
            if isinstance(text, InputError):
                bad.append(text)
            else:
                numbers.append(number)
                yield text

    source = lines()
    first = next((text for text in source if text.strip()), "")
    if bad:
        raise bad[0]
    if not first:
        return
    header, sign = _header(path, numbers[-1], first)
    reader = csv.reader(source, delimiter=sign, strict=True)
    while True:
        numbers.clear()
        try:
            cells = next(reader)
        except StopIteration:
            yield from bad
            return
        except csv.Error as error:
            _refuse_open_quote(path, numbers, error)
            yield InputError(f"{path}:{numbers[0]}: not valid CSV: {error}")
            continue
        yield from bad
        bad.clear()
        begins = numbers[0]
        if not cells:
            continue
        if len(cells) != len(header):
            yield InputError(f"{path}:{begins}: {len(cells)} fields where the header has {len(header)}")
        else:
            yield Line(f"{path}:{begins}", begins, dict(zip(header, cells, strict=True)))


def _header(path: Path, number: int, first: str) -> tuple[list[str], str]:
    """(the names of the columns, what parts the fields), by the first line with anything on it."""
    signs = [sign for sign in ("\t" if ".tsv" in path.name.lower() else ",", ";", "\t") if sign in first]
    sign = (signs or [","])[0]
    try:
        header = [name.strip() for name in next(csv.reader([first], delimiter=sign, strict=True))]
    except csv.Error as error:
        raise InputError(f"{path}:{number}: not a header of column names: {error}") from None
    header = [
        name or f"column {place}" for place, name in enumerate(header, start=1)
    ]  # pandas leaves its index's blank
    if len(set(header)) < len(header):
        raise InputError(f"{path}:{number}: the header names a column twice: {', '.join(map(repr, header))}")
    return header, sign


def _refuse_open_quote(path: Path, numbers: list[int], error: csv.Error) -> None:
    """A row that breaks off lines after it began, or at the end of the file, has taken the rows between into a cell."""
    if len(numbers) > 1 or "end of data" in str(error):
        raise InputError(
            f"{path}:{numbers[0]}: not valid CSV: a quote is opened in the row that begins here and not closed before "
            f"line {numbers[-1]} ends ({error}); close it, or double a quote that is part of the text"
        )


def text_rows(path: Path, stream: IO[bytes], reading: Reading) -> Iterator[Line | InputError]:
    """A row ``{"text": ...}`` for each piece of a plain text that is not blank, see ``Reading.sample_by``."""
    begins, held = 0, list[str]()
    for number, text in decoded_lines(path, stream, reading):
        if isinstance(text, InputError):
            yield text
            continue
        ends = reading.sample_by == "line" or (reading.sample_by == "paragraph" and not text.strip())
        if held or text.strip():
            begins = begins or number
            held.append(text)
        if held and ends:
            yield _piece(path, begins, held)
            begins, held = 0, []
    if held:
        yield _piece(path, begins, held)


def _piece(path: Path, number: int, lines: list[str]) -> Line:
    return Line(f"{path}:{number}", number, {"text": "".join(lines).rstrip()})
