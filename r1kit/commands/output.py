"""Files that a command writes where the user said."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1kit.errors import InputError
from r1kit.files import write_atomic

__all__ = ["check_writable", "write_json"]


def check_writable(path: Path | None) -> None:
    """Refuse a place that cannot be written before the work, not after it."""
    if path is None:
        return
    parent = path.absolute().parent
    if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {path}; name a file in a folder that is there and can be written to")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """One JSON object, written as a whole or not at all."""
    write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
