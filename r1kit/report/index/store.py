"""The SQLite file of an index: where it lies, its tables, its version.

The index is made of the logs and can be made again from them at any time: the JSON lines are the truth.
"""

from __future__ import annotations

import sqlite3
import string
import tempfile
from pathlib import Path

__all__ = ["FILE", "VERSION", "connect", "place_for", "prepare", "words_table"]

FILE = Path(".index") / "rollouts.sqlite"
VERSION = 1
"""Raised with every change of the tables; an index of another version is made anew."""
PATIENCE = 30.0
"""Seconds to wait for another dashboard that is writing."""

_TABLES = """
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT UNIQUE, place INTEGER, stage TEXT, part TEXT,
    device INTEGER, inode INTEGER, first BLOB, last BLOB, offset INTEGER, size INTEGER, lines INTEGER, damaged INTEGER
);
CREATE TABLE prompts (id INTEGER PRIMARY KEY, name TEXT, digest BLOB, start TEXT, UNIQUE (name, digest));
CREATE TABLE rollouts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, log INTEGER, offset INTEGER, length INTEGER, place INTEGER, stage TEXT,
    step INTEGER, kind TEXT, prompt INTEGER, task TEXT, grp INTEGER, right INTEGER, reward REAL, advantage REAL,
    tokens INTEGER, finish TEXT, status TEXT, cause TEXT, language TEXT, model TEXT, template TEXT, version INTEGER,
    parts TEXT, start TEXT
);
CREATE INDEX in_order ON rollouts (place, step, id);
CREATE INDEX of_prompt ON rollouts (prompt);
CREATE INDEX of_group ON rollouts (grp);
CREATE INDEX of_log ON rollouts (log);
CREATE TABLE ranges (log INTEGER, name TEXT, low REAL, high REAL, PRIMARY KEY (log, name));
"""
_SIGNS = string.punctuation.replace("'", "''")


def place_for(run: Path) -> Path:
    """Where the index of a run lies, prepared: in the run folder, or in a new temporary folder where that cannot be
    written, or lies on a file system that SQLite cannot lock."""
    target = run.resolve() / FILE
    try:
        prepare(target).close()
    except (OSError, sqlite3.Error):
        target = Path(tempfile.mkdtemp(prefix="r1-index-")) / FILE.name
        prepare(target).close()
    return target


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA cache_size = -8000")
    return connection


def prepare(path: Path) -> sqlite3.Connection:
    """Open for writing; the tables are made where there are none, and anew where they are of another version or the
    file is damaged."""
    try:
        return _prepare(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            raise
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
            path.with_name(name).unlink(missing_ok=True)
        return _prepare(path)


def _prepare(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(exist_ok=True)
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if found != VERSION or "rollouts" not in tables:
            for name in tables:
                if not name.startswith("sqlite_") and not _is_shadow(name):
                    connection.execute(f'DROP TABLE IF EXISTS "{name}"')
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_shadow(name: str) -> bool:
    """A table that belongs to a full-text table and goes with it."""
    return name.startswith("words_") and name.count("_") > 1


def words_table(connection: sqlite3.Connection, log: int) -> str:
    """The full-text table of a log, made where it is not there; empty where this SQLite has no FTS5."""
    name = f"words_{log}"
    try:
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {name} USING fts5(prompt, completion, content='', columnsize=0, "
            f"tokenize=\"ascii tokenchars '{_SIGNS.replace(chr(34), chr(34) * 2)}'\")"
        )
    except sqlite3.OperationalError as error:
        if "fts5" not in str(error):
            raise
        return ""
    return name
