"""Printing wherever the standard streams lead: what a terminal cannot show becomes its nearest ASCII, or a question
mark; a pipe that nobody reads any more, and a stream that was closed from the start, lead nowhere."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any, TextIO

__all__ = ["NEAREST", "forgive", "spelled", "tell"]

NEAREST = "r1kit-nearest"
"""Name of the error handler, as ``str.encode`` and ``open`` take it."""
_ASCII = {"→": "->", "×": "x", "−": "-", "–": "-", "…": "...", "\u2019": "'", "±": "~", "·": "-", "─": "-"}
_TABLE = str.maketrans(_ASCII)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error(NEAREST, _nearest)


def tell(line: str) -> None:
    """Print a line at once, in a process whose streams are not ours to change."""
    try:
        print(line, flush=True)
    except UnicodeEncodeError:
        print(line.encode(sys.stdout.encoding, errors=NEAREST).decode(sys.stdout.encoding), flush=True)


class _Patient(io.FileIO):
    """A descriptor whose reader may leave (``r1 run | head``): the work goes on, what it says goes nowhere."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


class _Ascii(io.TextIOWrapper):
    """Shows no ``buffer``: ``typer.echo`` takes ASCII for a mistake and would write UTF-8 into it."""

    buffer: Any = None


def forgive() -> None:
    """Of this process's standard streams: no terminal, pipe or missing stream ends a command."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
    if os.environ.get("COLUMNS", "").strip() == "0":  # a terminal that knows no width: in no columns nothing is shown
        del os.environ["COLUMNS"]
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    sys.stdout, sys.stderr = _patient(sys.stdout, 1), _patient(sys.stderr, 2)


def _patient(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is not None and (not isinstance(stream, io.TextIOWrapper) or stream.fileno() != descriptor):
        return stream  # a test's
    encoding = stream.encoding if stream else "utf-8"
    kind = _Ascii if codecs.lookup(encoding).name == "ascii" else io.TextIOWrapper
    return kind(
        io.BufferedWriter(_Patient(descriptor, "wb", closefd=False)),
        encoding=encoding,
        errors=NEAREST,
        line_buffering=stream.line_buffering if stream else True,
    )


def spelled(text: str) -> str:
    """The text as ASCII may print it, so that it is wrapped at the width that it will have."""
    return text.translate(_TABLE)
