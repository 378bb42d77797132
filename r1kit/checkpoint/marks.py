"""A model folder whose JSON files begin with a byte order mark, which the libraries that open them do not take."""

from __future__ import annotations

import codecs
import hashlib
from pathlib import Path

from filelock import FileLock

from r1kit.checkpoint.folder import replacing

__all__ = ["without_marks"]


def without_marks(folder: Path, cache: Path) -> Path:
    """The folder itself, or where a file of it has such a mark a folder in the cache: the same files by links, the
    marked ones written without it."""
    marked = [file for file in sorted(folder.iterdir()) if file.suffix in (".json", ".jinja") and _is_marked(file)]
    if not marked:
        return folder
    digest = hashlib.sha256(str(folder.resolve()).encode())
    for file in sorted(folder.iterdir()):
        there = file.stat()
        digest.update(f"{file.name} {there.st_size} {there.st_mtime_ns}".encode())
    plain = cache / f"plain-{folder.name}-{digest.hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f".{plain.name}.lock"):
        if not plain.exists():
            with replacing(plain) as new:
                for file in folder.iterdir():
                    if file in marked:
                        (new / file.name).write_bytes(file.read_bytes().removeprefix(codecs.BOM_UTF8))
                    elif file.is_file():
                        (new / file.name).symlink_to(file.resolve())
    return plain


def _is_marked(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
