"""Files of a run that is still being written: logs that grow, and small files that are replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from r1kit.files import object_of
from r1kit.report.read.values import Row, number

__all__ = ["Log", "Rows", "SmallFile", "Steps", "read_object", "stamp"]


class Collector(Protocol):
    """What is kept of a log: it is handed every line once, in order."""

    def add(self, row: Row) -> None: ...


class Rows(list[Row]):
    """Every line."""

    add = list.append


class Steps:
    """One row for each value of the keys, in order of step: a log may repeat a step, and the newest line counts."""

    def __init__(self, keys: Sequence[str] = ("step",)) -> None:
        self._keys = keys
        self._newest: dict[Hashable, Row] = {}
        self._sorted: list[Row] | None = None

    def add(self, row: Row) -> None:
        if number(row, "step") is not None:
            self._newest[tuple(str(row.get(key)) for key in self._keys)] = row
            self._sorted = None

    @property
    def rows(self) -> list[Row]:
        if self._sorted is None:
            self._sorted = sorted(self._newest.values(), key=lambda row: float(row["step"]))
        return self._sorted


Kept = TypeVar("Kept", bound=Collector)
Parsed = TypeVar("Parsed")


class Log(Generic[Kept]):
    """A JSON-lines file. Each look reads the lines that came since the last one.

    A log that was cut back (a resumed stage cuts its logs to the resume point) or replaced is read again from its
    start. A line that is no JSON object is skipped and counted; a last line that is still being written is left for
    the next look.
    """

    def __init__(self, path: Path, collect: Callable[[], Kept], most: int | None = None) -> None:
        """
        Args:
            most: lines to keep; reading ends there.
        """
        self.path = path
        self._collect = collect
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._kept = self._collect()
        self._count = 0
        self._offset = 0
        self._last_line = b""
        self._file: tuple[int, int] | None = None
        self._damaged = 0
        self._torn = False

    @property
    def skipped(self) -> int:
        """Lines that the last look could not read, a torn last one counted."""
        return self._damaged + self._torn

    def look(self) -> Kept:
        """All lines up to now; no file gives none."""
        try:
            stream = self.path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            self._begin()
            return self._kept
        with stream:
            found = os.fstat(stream.fileno())
            identity = (found.st_dev, found.st_ino)
            stream.seek(max(0, self._offset - len(self._last_line)))
            if identity != self._file or stream.read(len(self._last_line)) != self._last_line:
                self._begin()
                self._file = identity
                stream.seek(0)
            self._torn = False
            for line in stream:
                if self._most is not None and self._count >= self._most:
                    break
                self._take(line)
        return self._kept

    def _take(self, line: bytes) -> None:
        row = object_of(line.decode("utf-8", errors="replace"))
        if row is None and not line.endswith(b"\n"):  # an object that parses is whole, its line's end may follow
            self._torn = True
            return
        self._offset += len(line)
        self._last_line = line
        if row is not None:
            self._kept.add(row)
            self._count += 1
        elif line.strip():
            self._damaged += 1


class SmallFile(Generic[Parsed]):
    """A file that its writer replaces as a whole; parsed again only when it has changed."""

    def __init__(self, path: Path, parse: Callable[[str], Parsed]) -> None:
        self.path = path
        self._parse = parse
        self._seen: tuple[int, ...] = ()
        self._value: Parsed | None = None

    def look(self) -> Parsed | None:
        """What it says now; None where it is missing, torn, or nested too deep to be read."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._seen, self._value = (), None
            return None
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._seen:
            try:
                self._value = self._parse(self.path.read_text(encoding="utf-8", errors="replace"))
            except (FileNotFoundError, ValueError, RecursionError):
                self._value = None
            self._seen = stamp
        return self._value


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of a file: other ones mean that it was written since; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def read_object(file: SmallFile[Any]) -> dict[str, Any]:
    """The JSON object that a small file holds; empty where it is missing, torn or something else."""
    value = file.look()
    return value if isinstance(value, dict) else {}
