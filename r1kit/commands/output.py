"""Files that a command writes where the user said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1kit.errors import InputError
from r1kit.workspace import write_atomic

__all__ = ["check_writable", "write_json"]


def check_writable(path: Path | None) -> None:
    """Refuse a place that cannot be written before the work, not after it."""
    if path is not None and (not path.absolute().parent.is_dir() or path.is_dir()):
        raise InputError(f"cannot write {path}: no such folder, or it is one; name a file in a folder that exists")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """One JSON object, written as a whole or not at all."""
    try:
        write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    except PermissionError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name another file") from None
