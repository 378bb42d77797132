"""What a terminal can print: UTF-8, or its nearest ASCII."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

__all__ = ["indented", "plain", "printable", "spelled"]

_ASCII = str.maketrans({"→": "->", "×": "x", "−": "-", "–": "-", "…": "...", "\u2019": "'", "±": "~"})


@contextmanager
def printable(console: Console) -> Iterator[None]:
    """On a console that is not UTF-8, what it cannot print becomes its nearest ASCII, or a question mark."""
    if not plain(console):
        yield
        return
    with console.capture() as capture:
        yield
    text = capture.get().translate(_ASCII)
    console.file.write(text.encode(console.encoding, errors="replace").decode(console.encoding))


def plain(console: Console) -> bool:
    """Whether only ASCII can be printed here."""
    return not console.encoding.lower().startswith("utf")


def spelled(text: str, console: Console) -> str:
    """The text as it can be printed here, so that it is wrapped at the width that it will have."""
    return text.translate(_ASCII) if plain(console) else text


def indented(text: str) -> Padding:
    """Text of a run, control characters dropped: a completion must not steer the terminal."""
    return Padding(Text("".join(sign for sign in text if sign == "\n" or sign.isprintable()).strip()), (0, 0, 0, 2))
