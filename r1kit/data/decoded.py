"""The lines of a file of text, UTF-8 or refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from r1kit.data.settings import Reading
from r1kit.errors import InputError

__all__ = ["decoded_lines"]

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


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
