"""What the files behind a recipe's settings hold, as a few hex digits: data, models, folders of either.

The digest of a large file is kept in the cache by its path, size, times and inode, so that gigabytes are read once; a
file that was written only just now is read again next time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path

from r1kit.checkpoint.source import HUB_FILES, HUB_NAME, cache_folder, hub_commit, resolve_model, stage_folder
from r1kit.data.hub import newest_commit
from r1kit.errors import R1Error
from r1kit.files import write_atomic

__all__ = ["content_of_data", "content_of_model", "content_of_path", "digest_of", "place_of"]

DIGITS = 16
SMALL = 1 << 22
"""Bytes up to which a file is read every time."""
SETTLED_NS = 2 * 10**9
"""A file that changed less long ago may change again within the clock's grain: its digest is not kept."""
MANY = 64
"""A folder of more files is told as one."""
PLACES = ("path", "test_path", "data", "dataset", "file", "folder")
"""Settings whose text is a folder's name even where nothing in it says so."""
LONGEST = 4096


def digest_of(path: Path) -> str:
    """Of a file's content: the first digits of its sha256.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    if stat.st_size <= SMALL:
        return _read(path)
    place = str(path.resolve())
    seen = [place, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    kept = cache_folder() / "digests" / f"{hashlib.sha256(place.encode()).hexdigest()[:DIGITS]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["seen"] == seen:
            return str(found["digest"])
    digest = _read(path)
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > SETTLED_NS:
        with suppress(OSError):  # a cache that cannot be written costs time only
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, json.dumps({"seen": seen, "digest": digest}) + "\n")
    return digest


def _read(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            whole.update(chunk)
    return whole.hexdigest()[:DIGITS]


def place_of(text: str, setting: str, names: Container[str] = (), *, model: bool = False) -> Path | None:
    """The file or folder that a setting's text names, where there is one.

    A text that merely could be a path, as a stop string ``/`` could, is none: a folder is one by a path of several
    parts, or by the setting's own name.

    Args:
        setting: its name alone.
        names: those of stages and tasks, which are no files whatever lies about.
        model: the setting names a model.
    """
    if not text or text in names or len(text) > LONGEST or any(sign in text for sign in "\0\n"):
        return None
    with suppress(OSError, RuntimeError):  # a name too long for the disk; no home folder
        path = Path(text).expanduser()
        named = model or setting in PLACES
        if path.is_file():
            return path if named or path.suffix or len(path.parts) > 1 else None
        if path.is_dir():
            return path if named or (path.is_absolute() and len(path.parts) > 2) else None
    return None


def content_of_path(path: Path) -> dict[str, str]:
    """Name -> digest: of a file itself; of what a model needs of its folder; of all files below any other folder."""
    if path.is_file():
        return {path.name: digest_of(path)}
    if (path / "config.json").is_file():
        files = [file for pattern in HUB_FILES for file in path.glob(pattern)]
    else:
        files = [file for file in path.rglob("*") if not any(part.startswith(".") for part in file.parts)]
    found = {str(file.relative_to(path)): digest_of(file) for file in sorted(set(files)) if file.is_file()}
    if len(found) <= MANY:
        return found
    whole = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:DIGITS]
    return {f"one of {len(found)} files": whole}


def content_of_model(name: str, before: Mapping[str, str] | None, *, fetch: bool) -> dict[str, str] | None:
    """The same of a model by name; of a hub name its commit.

    Args:
        before: what was found for it when the stage began, which stays where nothing can be found now.
        fetch: bring a hub model that is not here, so that its commit is known.
    """
    if folder := stage_folder(name):
        return content_of_path(folder)
    if not HUB_NAME.fullmatch(name):
        return None
    commit = hub_commit(name)
    if not commit and before is None and fetch:
        with suppress(R1Error):  # the stage that needs it says why it cannot be had
            resolve_model(name)
            commit = hub_commit(name)
    if before == {}:  # it began without knowing
        return {}
    return {"commit": commit} if commit else dict(before or {})


def content_of_data(
    name: str, setting: str, revision: str, before: Mapping[str, str] | None, *, fetch: bool
) -> dict[str, str] | None:
    """The commit of a hub data set that a setting may name, as ``content_of_model``; None where it cannot name one."""
    if setting not in PLACES or not HUB_NAME.fullmatch(name):
        return None
    if before == {} or not fetch:
        return dict(before or {})
    commit = newest_commit(name, revision)
    return {"commit": commit} if commit else dict(before or {})
