"""Printing with rich, on any terminal, text that a model wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from r1kit.report.draw.ascii import NEAREST, spelled

__all__ = ["STYLES", "harmless", "indented", "is_plain", "printable"]

STYLES = {"done": "green", "running": "yellow", "stopped": "red", "waiting": "dim"}
"""Of a stage's state."""


def is_plain(console: Console) -> bool:
    """Whether only ASCII can be printed here."""
    return not console.encoding.lower().startswith("utf")


@contextmanager
def printable(console: Console) -> Iterator[None]:
    """What the console cannot print becomes its nearest ASCII, or a question mark."""
    with console.capture() as capture:
        yield
    text = spelled(capture.get()) if is_plain(console) else capture.get()
    console.file.write(text.encode(console.encoding, errors=NEAREST).decode(console.encoding))


def harmless(text: str) -> str:
    """Text of a run, control characters dropped: a completion must not steer the terminal."""
    return "".join(sign for sign in text if sign == "\n" or sign.isprintable())


def indented(text: str) -> Padding:
    """Text of a run, made harmless, on lines of its own."""
    return Padding(Text(harmless(text).strip()), (0, 0, 0, 2))
