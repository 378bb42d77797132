"""Write a folder as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE, S_IRWXU

from safetensors import SafetensorError

from r1kit.errors import InputError

__all__ = ["give_usual_modes", "replacing"]


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A fresh folder beside ``folder`` that takes its place, synced to disk, when the block ends without an error.

    A crash at any moment leaves the old folder or the new one, whole; between the two renames the old one is for an
    instant at ``.NAME.old``, from where the next call puts it back.
    """
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    try:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        give_usual_modes(new)
        for path in [*new.rglob("*"), new]:
            _sync(path)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise InputError(f"cannot write {folder}: {error}; what was there before is untouched") from error
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def give_usual_modes(folder: Path) -> None:
    """What lies in a folder may be read and written by whom the umask lets: some writers of weights say 0600, and a
    copy of a folder that is read only would be so too."""
    folder.chmod(folder.stat().st_mode | S_IRWXU)
    file, below = folder / ".mode", folder / ".modes"
    file.touch()
    below.mkdir()
    modes = {True: below.stat().st_mode, False: file.stat().st_mode}
    file.unlink()
    below.rmdir()
    for path in [folder, *folder.rglob("*")]:
        os.chmod(path, S_IMODE(modes[path.is_dir()]))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
