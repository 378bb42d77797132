"""How many parameters a checkpoint holds, read off the headers of its safetensors files; no tensor is loaded."""

from __future__ import annotations

from pathlib import Path

from r1kit.checkpoint.headers import read_header
from r1kit.errors import InputError

__all__ = ["parameter_count"]


def parameter_count(folder: Path) -> int:
    """Of a hub-format folder, in whatever arithmetic and however many files; a tied head counts once.

    Raises:
        InputError: it holds no safetensors file, or one is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder} holds no .safetensors file, so its parameters cannot be counted")
    return sum(one.count for file in files for one in read_header(file).values())
