"""Printing to a terminal that is not UTF-8: what it cannot show becomes its nearest ASCII, or a question mark."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

__all__ = ["NEAREST", "forgive", "spelled"]

NEAREST = "r1kit-nearest"
"""Name of the error handler, as ``str.encode`` and ``open`` take it."""
_ASCII = {"→": "->", "×": "x", "−": "-", "–": "-", "…": "...", "\u2019": "'", "±": "~", "·": "-", "─": "-"}
_TABLE = str.maketrans(_ASCII)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error(NEAREST, _nearest)


def forgive(*streams: TextIO) -> None:
    """From now on these print whatever they are given; no line of a result may end a run."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=NEAREST)


def spelled(text: str) -> str:
    """The text as ASCII may print it, so that it is wrapped at the width that it will have."""
    return text.translate(_TABLE)
