"""The index brought up to date with the logs, a batch at a time.

A batch is one transaction: how far a log was read is taken from the index and written back with the rows, so that two
processes may do this at once, and a kill leaves a whole index. A log that was cut back or replaced is read again from
its start; a damaged line is counted; a last line that is still being written is left for the next look.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from r1kit.files import object_of
from r1kit.report.index.entry import EXCERPT, Entry, entry_of, spaced
from r1kit.report.index.store import words_table

__all__ = ["BATCH", "FoundLog", "advance", "logs_of"]

BATCH = 500
"""Lines of a transaction."""
BATCH_BYTES = 4_000_000
LONGEST_LINE = 32_000_000
"""Bytes; a longer line counts as damaged."""
_MARK = 200
"""Bytes of the first and of the last line that a log is recognised by."""
_STAGE = re.compile(r"(\d\d)_([a-zA-Z][a-zA-Z0-9_-]*)")
_COLUMNS = (
    "log", "offset", "length", "place", "stage", "step", "kind", "prompt", "task", "grp", "right", "reward",
    "advantage", "tokens", "finish", "status", "cause", "language", "model", "template", "version", "parts", "start",
)  # fmt: skip
_INSERT = f"INSERT INTO rollouts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """A ``rollouts.jsonl`` on the disk."""

    path: Path
    place: int
    """Number of its stage."""
    stage: str
    part: str
    """Of the stage, where it trains several models: ``qwen-s/base``."""


def logs_of(run: Path) -> list[FoundLog]:
    """In order of their stages; one that a link puts outside the run folder is left out."""
    root = run.resolve()
    found = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if not (match := _STAGE.fullmatch(folder.name)):
            continue
        for pattern in ("rollouts.jsonl", "*/rollouts.jsonl", "*/*/rollouts.jsonl"):
            for path in sorted(folder.glob(pattern)):
                part = path.parent.relative_to(folder).as_posix()
                if path.is_file() and path.resolve().is_relative_to(root):
                    log = FoundLog(path=path, place=int(match[1]), stage=match[2], part="" if part == "." else part)
                    found.append(log)
    return found


def advance(connection: sqlite3.Connection, run: Path) -> bool:
    """Read at most a batch of each log; whether any log has more to read."""
    logs = logs_of(run)
    _forget_others(connection, run, logs)
    return sum(_advance(connection, run, log) for log in logs) > 0


def _forget_others(connection: sqlite3.Connection, run: Path, logs: list[FoundLog]) -> None:
    """Drop what was read of logs that are gone."""
    there = {log.path.relative_to(run.resolve()).as_posix() for log in logs}
    for row in connection.execute("SELECT id, path FROM logs").fetchall():
        if row["path"] not in there:
            connection.execute("BEGIN IMMEDIATE")
            _forget(connection, row["id"])
            connection.execute("COMMIT")


def _forget(connection: sqlite3.Connection, log: int) -> None:
    connection.execute("DELETE FROM rollouts WHERE log = ?", (log,))
    connection.execute("DELETE FROM ranges WHERE log = ?", (log,))
    connection.execute("DELETE FROM logs WHERE id = ?", (log,))
    connection.execute(f"DROP TABLE IF EXISTS words_{log:d}")


def _advance(connection: sqlite3.Connection, run: Path, log: FoundLog) -> bool:
    try:
        stream = log.path.open("rb")
    except OSError:
        return False
    with stream:
        name, size = log.path.relative_to(run.resolve()).as_posix(), os.fstat(stream.fileno()).st_size
        held = connection.execute("SELECT * FROM logs WHERE path = ?", (name,)).fetchone()
        if held is not None and held["size"] == size and _is_same(held, stream):
            return False  # as it was at the last look: nothing is written
        connection.execute("BEGIN IMMEDIATE")
        try:
            more = _batch(connection, name, log, stream, size)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return more


def _is_same(held: sqlite3.Row, stream: BinaryIO) -> bool:
    """Whether the file still begins, and at the offset still ends, as what was read of it."""
    found = os.fstat(stream.fileno())
    if (found.st_dev, found.st_ino) != (held["device"], held["inode"]) or found.st_size < held["offset"]:
        return False
    stream.seek(0)
    if stream.read(len(held["first"])) != held["first"]:
        return False
    stream.seek(held["offset"] - len(held["last"]))
    return bool(stream.read(len(held["last"])) == held["last"])


def _batch(connection: sqlite3.Connection, name: str, log: FoundLog, stream: BinaryIO, size: int) -> bool:
    """In a transaction: whether the file goes on behind what was read."""
    held = connection.execute("SELECT * FROM logs WHERE path = ?", (name,)).fetchone()
    if held is not None and not _is_same(held, stream):
        _forget(connection, held["id"])
        held = None
    if held is None:
        found = os.fstat(stream.fileno())
        connection.execute(
            "INSERT INTO logs (path, place, stage, part, device, inode, first, last, offset, size, lines, damaged) "
            "VALUES (?, ?, ?, ?, ?, ?, x'', x'', 0, 0, 0, 0)",
            (name, log.place, log.stage, log.part, found.st_dev, found.st_ino),
        )
        held = connection.execute("SELECT * FROM logs WHERE path = ?", (name,)).fetchone()
    taken = _Taken(connection, held["id"], log)
    offset, first, last, damaged = held["offset"], held["first"], held["last"], 0
    stream.seek(offset)
    for length, line in _lines(stream):
        row = None if line is None else object_of(line.decode("utf-8", errors="replace"))
        entry = None if row is None else entry_of(row)
        if entry is not None:
            taken.add(entry, offset, length)
        elif line is None or line.strip():
            damaged += 1
        first = first or (line or b"")[:_MARK]
        last = b"" if line is None else line[-_MARK:]
        offset += length
    taken.write()
    more: bool = offset < size and offset > held["offset"]
    connection.execute(
        "UPDATE logs SET first = ?, last = ?, offset = ?, size = ?, lines = lines + ?, damaged = damaged + ? "
        "WHERE id = ?",
        (first, last, offset, held["offset"] if more else size, taken.count, damaged, held["id"]),
    )
    return more


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """(bytes, line) of a batch's whole lines; None for one that is too long to be looked at."""
    read = 0
    for _ in range(BATCH):
        line = stream.readline(LONGEST_LINE)
        length, long = len(line), False
        while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            line, long = stream.readline(LONGEST_LINE), True
            length += len(line)
        if not line.endswith(b"\n"):
            return  # the end of the file, or a line that is still being written
        yield length, None if long else line
        read += length
        if read >= BATCH_BYTES:
            return


class _Taken:
    """Rows of one batch on their way into the index."""

    def __init__(self, connection: sqlite3.Connection, log: int, found: FoundLog) -> None:
        self._connection = connection
        self._log = log
        self._found = found
        self._words = words_table(connection, log)
        self._prompts: dict[tuple[str, str], int] = {}
        self._ranges: dict[str, tuple[float, float]] = {}
        self.count = 0
        row = connection.execute(
            "SELECT step, kind, prompt, model, template, grp FROM rollouts WHERE log = ? ORDER BY id DESC LIMIT 1",
            (log,),
        ).fetchone()
        self._key: tuple[object, ...] = tuple(row)[:5] if row else ()
        self._group: int = row["grp"] if row else 0

    def add(self, entry: Entry, offset: int, length: int) -> None:
        prompt = self._prompt(entry)
        key = (entry.step, entry.kind, prompt, entry.model, entry.template)
        values = (
            self._log, offset, length, self._found.place, self._found.stage, entry.step, entry.kind, prompt, entry.task,
            self._group, entry.right, entry.reward, entry.advantage, entry.tokens, entry.finish, entry.status,
            entry.cause, entry.language, entry.model, entry.template, entry.version,
            json.dumps(entry.parts, ensure_ascii=False), _start(entry.completion),
        )  # fmt: skip
        made = self._connection.execute(_INSERT, values).lastrowid
        assert made is not None
        if key != self._key:  # the first of its group
            self._key, self._group = key, made
            self._connection.execute("UPDATE rollouts SET grp = ? WHERE id = ?", (made, made))
        if self._words:
            self._connection.execute(
                f"INSERT INTO {self._words} (rowid, prompt, completion) VALUES (?, ?, ?)",
                (made, spaced(entry.prompt), spaced(entry.completion)),
            )
        for name, value in entry.parts.items():
            low, high = self._ranges.get(name, (value, value))
            self._ranges[name] = (min(low, value), max(high, value))
        self.count += 1

    def _prompt(self, entry: Entry) -> int:
        """Its number: prompts are told apart by their name and their text."""
        named = (entry.prompt_id, entry.prompt)
        if named not in self._prompts:
            digest = hashlib.blake2b(entry.prompt.encode(), digest_size=8).digest()
            self._connection.execute(
                "INSERT OR IGNORE INTO prompts (name, digest, start) VALUES (?, ?, ?)",
                (entry.prompt_id, digest, _start(entry.prompt)),
            )
            found = self._connection.execute(
                "SELECT id FROM prompts WHERE name = ? AND digest = ?", (entry.prompt_id, digest)
            )
            self._prompts[named] = found.fetchone()[0]
        return self._prompts[named]

    def write(self) -> None:
        """What is known of the batch as a whole."""
        self._connection.executemany(
            "INSERT INTO ranges VALUES (?, ?, ?, ?) ON CONFLICT (log, name) "
            "DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high)",
            [(self._log, name, low, high) for name, (low, high) in self._ranges.items()],
        )


def _start(text: str) -> str:
    """The beginning of a text, on one line."""
    return " ".join(text[: 4 * EXCERPT].split())[:EXCERPT]
