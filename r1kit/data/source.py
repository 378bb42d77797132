"""A source of rows by the name a user writes: a file, a folder of files, or a data set of the hub.

========================================  ============================================================================
source                                    how it is read
========================================  ============================================================================
``.jsonl`` ``.json``                      an object a line, or one array; line by line (an array is held as text)
``.csv`` ``.tsv``                         a header and rows; every cell is text, so that numbers keep their spelling
``.parquet``                              in batches, with pyarrow
``.txt``                                  a row ``{"text": ...}`` a line, paragraph or file
each of them with ``.gz`` or ``.zst``     uncompressed on the way
a folder                                  its files of these forms, in the order of their names
``owner/name``                            a data set of the hub, through ``datasets``; from the cache where it is
========================================  ============================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from r1kit.data.forms import SUFFIXES, form_of, rows_of
from r1kit.data.hub import Loaded, is_clone, is_saved, load_folder, load_hub
from r1kit.data.settings import Reading
from r1kit.data.split_names import pick_split, split_of
from r1kit.errors import InputError
from r1kit.files import Line

__all__ = ["Rows", "Skipped", "is_path", "open_rows"]

_T = TypeVar("_T")
TOLD = 3
"""Bad lines that are named; more are counted."""
ABOUT = ("dataset_info.json", "dataset_infos.json")
"""Files of a folder that say something about it."""


class Skipped:
    """Bad lines that were passed over."""

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []
        """What was wrong with the first few, each with its place."""

    def add(self, error: InputError) -> None:
        self.count += 1
        if len(self.reasons) < TOLD:
            self.reasons.append(str(error))

    def __str__(self) -> str:
        """``2 bad lines skipped: a.jsonl:3: ...; a.jsonl:9: ...``; empty where there are none."""
        if not self.count:
            return ""
        more = f"; {self.count - TOLD} more" if self.count > TOLD else ""
        return f"{self.count} bad line{'s' * (self.count != 1)} skipped: {'; '.join(self.reasons)}{more}"


class Rows:
    """The rows of a source, read anew each time they are asked for; one at a time is in memory."""

    def __init__(
        self,
        where: str,
        reading: Reading,
        items: Callable[[], Iterable[Line | InputError]],
        digest: Callable[[], str],
        splits: tuple[str, ...],
    ) -> None:
        """``items`` gives each row, or what is wrong with it; ``where`` names the source in messages."""
        self.where, self.reading, self.splits = where, reading, splits
        self.skipped = Skipped()
        """Of the last reading, as far as it has come."""
        self._items, self._digest = items, digest

    def __iter__(self) -> Iterator[Line]:
        return self.read(lambda line: line)

    def read(self, take: Callable[[Line], _T]) -> Iterator[_T]:
        """What ``take`` makes of each row; a row that it refuses with InputError is a bad line.

        Raises:
            InputError: a bad line, where ``bad_lines`` is ``refuse``; a source that is broken as a whole, or empty.
        """
        self.skipped = skipped = Skipped()
        given = 0
        for item in self._items():
            if self.reading.limit and given >= self.reading.limit:
                break
            try:
                if isinstance(item, InputError):
                    raise item
                taken = take(item)
            except InputError as error:
                if self.reading.bad_lines == "refuse":
                    raise InputError(f'{error}; bad_lines = "skip" leaves such lines out') from None
                skipped.add(error)
                continue
            given += 1
            yield taken
        if not given:
            raise InputError(f"{self.where}: no rows{f'; {skipped}' if skipped.count else ''}")

    @property
    def digest(self) -> str:
        """What tells the content, wherever it lies: 16 hex digits of the files', or the commit of a hub data set."""
        return self._digest()


def is_path(source: str) -> bool:
    """Whether a source is a file or a folder rather than a data set of the hub."""
    return source[:1] in ("/", ".", "~", "{") or form_of(source) is not None or Path(source).exists()


def open_rows(source: str, reading: Reading | None = None) -> Rows:
    """The rows of a source. No row is read yet, only which files or splits there are.

    Raises:
        InputError: there is no such file, split or data set; the line names those that are.
        MissingError: a package or the network is needed that is not here.
    """
    reading = reading or Reading()
    if not source.strip():
        raise InputError("the source of rows is empty; name a file, a folder or a data set of the hub")
    path = Path(source).expanduser()
    if not is_path(source):
        return _of_loaded(load_hub(source, reading, ", nor a file or folder of that name here"), reading)
    if path.is_dir():
        return _of_folder(path, reading)
    if reading.split or reading.subset:
        raise InputError(f"{path}: one file has no splits or subsets; leave split and subset out, or name its folder")
    if not path.exists():
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in")
    if form_of(path) is None:
        raise InputError(f"{path}: what is it? Files end in {', '.join(SUFFIXES)}, each also with .gz or .zst")
    return _of_files(str(path), [path], reading, ("train",))


def _of_folder(path: Path, reading: Reading) -> Rows:
    """The files of a split of a folder, in the order of their names; what ``datasets`` saved or the hub described is
    read by ``datasets``."""
    if is_saved(path) or is_clone(path):
        return _of_loaded(load_folder(path, reading), reading)
    folder = path / reading.subset
    if not folder.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.is_dir())
        raise InputError(f"{path} has no subset {reading.subset!r}; its folders are {', '.join(inside) or 'none'}")
    files = [file for file in sorted(folder.rglob("*")) if _holds_rows(file, folder)]
    if not files:
        raise InputError(f"{folder}: no files of rows in it; they end in {', '.join(SUFFIXES)}, also with .gz or .zst")
    splits: dict[str, list[Path]] = {}
    for file in files:
        splits.setdefault(split_of(file.relative_to(folder)) or "train", []).append(file)
    split = pick_split(str(folder), reading.split, tuple(splits))
    where = f"{folder}[{split}]" if len(splits) > 1 else str(folder)
    return _of_files(where, splits[split], reading, tuple(splits))


def _holds_rows(file: Path, folder: Path) -> bool:
    hidden = any(part[0] in "._" for part in file.relative_to(folder).parts)
    return file.is_file() and form_of(file) is not None and not hidden and file.name not in ABOUT


def _of_files(where: str, files: list[Path], reading: Reading, splits: tuple[str, ...]) -> Rows:
    def items() -> Iterator[Line | InputError]:
        for file in files:
            yield from rows_of(file, reading)

    return Rows(where, reading, items, lambda: _content(files), splits)


def _of_loaded(loaded: Loaded, reading: Reading) -> Rows:
    return Rows(loaded.where, reading, loaded.items, lambda: loaded.digest, loaded.splits)


def _content(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                whole.update(block)
        whole.update(b"\0")
    return whole.hexdigest()[:16]
