"""How many parameters a checkpoint holds, read off the headers of its safetensors files; no tensor is loaded."""

from __future__ import annotations

import json
import math
from pathlib import Path

from r1kit.errors import InputError

__all__ = ["parameter_count"]

MAX_HEADER = 100_000_000
"""Bytes; what the format allows."""


def parameter_count(folder: Path) -> int:
    """Of a hub-format folder, in whatever arithmetic and however many files; a tied head counts once.

    Raises:
        InputError: it holds no safetensors file, or one is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder} holds no .safetensors file, so its parameters cannot be counted")
    return sum(_held(file) for file in files)


def _held(file: Path) -> int:
    """A file begins with the length of its header (8 bytes, little-endian) and the header, JSON."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, MAX_HEADER)))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no safetensors file ({error})") from None
    return sum(math.prod(shape) for shape in shapes)
