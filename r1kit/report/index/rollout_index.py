"""The rollouts of a run, found fast: an SQLite index that follows the logs from a thread of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.files import object_of
from r1kit.report.index.build import LONGEST_LINE, advance, logs_of
from r1kit.report.index.entry import holds, spaced
from r1kit.report.index.filters import ORDERS, Filter
from r1kit.report.index.store import connect, place_for, prepare

__all__ = ["PAGE", "Page", "Progress", "RolloutIndex"]

PAGE = 50
"""Rollouts of a page."""
MOST_MEMBERS = 64
"""Rollouts of a group, and steps of a prompt, that are handed out at once."""
LOOK_SECONDS = 0.7
"""Between two looks at the logs."""
AFTER_A_FAULT = 5.0
_SHOWN = (
    "r.id, r.place, r.stage, r.step, r.kind, r.task, r.grp, r.right, r.reward, r.advantage, r.tokens, r.finish, "
    "r.status, r.cause, r.language, r.model, r.template, r.version, r.parts, r.start, r.prompt, p.name AS prompt_id, "
    "p.start AS prompt_start, l.part AS part, l.path AS path, r.offset, r.length"
)
_FROM = "FROM rollouts r JOIN prompts p ON p.id = r.prompt JOIN logs l ON l.id = r.log"
_FACETS = ("stage", "kind", "task", "language", "finish", "status", "model", "cause")
MOST_VALUES = 100

Found = dict[str, Any]
"""A rollout as the index knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    rollouts: int
    damaged: int
    """Lines that hold no rollout."""
    share: float
    """Of the bytes of all logs, 0 to 1; a line that is still being written counts as read."""
    newest: int
    """Number of the last rollout that came in."""
    fault: str
    """Why the index cannot go on; empty while it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    rollouts: Sequence[Found]
    total: int
    """Of all pages."""
    page: int
    """From 1."""
    upto: int
    """Rollouts that came in later are left out: give it again, and pages stay as they are."""


class RolloutIndex:
    """Of one run. ``start`` sets the thread going; every question opens a connection of its own."""

    def __init__(self, run: Path) -> None:
        self.run = run.resolve()
        self.path = place_for(self.run)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rollout index", daemon=True)
        self._fault = ""

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; a temporary index goes with it."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join()
        if not self.path.is_relative_to(self.run):
            for file in self.path.parent.iterdir():
                file.unlink()
            self.path.parent.rmdir()

    def catch_up(self) -> None:
        """Read all that there is, now, in this thread."""
        with closing(prepare(self.path)) as connection:
            while advance(connection, self.run):
                pass

    def _follow(self) -> None:
        while not self._stopping.is_set():
            pause = 0.0
            try:
                with closing(prepare(self.path)) as connection:
                    written = self.path.stat().st_ino
                    while not self._stopping.is_set() and self._is_at(written):
                        if not advance(connection, self.run):
                            self._fault = ""
                            self._stopping.wait(LOOK_SECONDS)
            except (sqlite3.Error, OSError) as error:
                self._fault, pause = f"the index of rollouts cannot be written: {error}", AFTER_A_FAULT
            self._stopping.wait(pause)

    def _is_at(self, inode: int) -> bool:
        """Whether the index that is written is still the one that others find."""
        return self.path.is_file() and self.path.stat().st_ino == inode

    def _open(self) -> closing[sqlite3.Connection]:
        """To read; an index that somebody deleted is begun anew."""
        return closing(connect(self.path) if self.path.is_file() else prepare(self.path))

    # ---- questions --------------------------------------------------------------------------------------------------

    def progress(self) -> Progress:
        with self._open() as connection:
            row = connection.execute(
                "SELECT coalesce(sum(lines), 0), coalesce(sum(damaged), 0), coalesce(sum(max(offset, size)), 0) "
                "FROM logs"
            ).fetchone()
            newest = connection.execute("SELECT coalesce(max(id), 0) FROM rollouts").fetchone()[0]
        total = sum(log.path.stat().st_size for log in logs_of(self.run))
        share = min(1.0, row[2] / total) if total else 1.0
        return Progress(rollouts=row[0], damaged=row[1], share=share, newest=newest, fault=self._fault)

    def page(self, asked: Filter, order: str = "newest", page: int = 1, upto: int = 0) -> Page:
        """
        Args:
            order: a key of ``ORDERS``.
            upto: of an earlier page; 0: all up to now.
        """
        with self._open() as connection:
            connection.execute("BEGIN")  # one state for the count and the page
            upto = upto or connection.execute("SELECT coalesce(max(id), 0) FROM rollouts").fetchone()[0]
            where, values = self._where(connection, asked, upto)
            total = connection.execute(f"SELECT count(*) FROM rollouts WHERE {where}", values).fetchone()[0]
            page = max(1, min(page, -(-total // PAGE)))
            cut = f"ORDER BY {ORDERS[order]} LIMIT {PAGE} OFFSET {(page - 1) * PAGE}"
            ids = [row[0] for row in connection.execute(f"SELECT id FROM rollouts WHERE {where} {cut}", values)]
            found = self._some(connection, f"r.id IN ({', '.join('?' * len(ids))})", ids)
        found.sort(key=lambda one: ids.index(one["id"]))
        return Page(rollouts=found, total=total, page=page, upto=upto)

    def one(self, number: int) -> Found | None:
        """A rollout by its number."""
        with self._open() as connection:
            return next(iter(self._some(connection, "r.id = ?", [number])), None)

    def group(self, number: int) -> list[Found]:
        """A rollout and the others that were sampled with it, in order."""
        with self._open() as connection:
            inner = "r.grp = (SELECT grp FROM rollouts WHERE id = ?) ORDER BY r.id"
            return self._some(connection, f"{inner} LIMIT {MOST_MEMBERS}", [number])

    def over_steps(self, number: int) -> list[Found]:
        """Every group of the rollout's prompt, in the order of the run: its first rollout, with ``n``, ``mean_reward``,
        ``mean_tokens`` and ``right_share`` of the group. Of a prompt that came up very often, evenly spread ones."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT grp, count(*) AS n, avg(reward) AS mean_reward, avg(tokens) AS mean_tokens, "
                "avg(right) AS right_share FROM rollouts WHERE prompt = (SELECT prompt FROM rollouts WHERE id = ?) "
                "GROUP BY grp ORDER BY min(place), min(step), grp",
                [number],
            ).fetchall()
            stride = -(-len(rows) // MOST_MEMBERS) or 1
            rows = [row for place, row in enumerate(rows) if place % stride == 0 or place == len(rows) - 1]
            groups = {row["grp"]: dict(row) for row in rows}
            found = {
                one["grp"]: one
                for one in self._some(connection, f"r.id IN ({', '.join('?' * len(groups))})", list(groups))
            }
        return [{**found[number], **row} for number, row in groups.items() if number in found]

    def facets(self) -> dict[str, Any]:
        """What there is to choose from: values with their counts, the range of steps, tokens and each part."""
        with self._open() as connection:
            found: dict[str, Any] = {
                name: [
                    {"value": row[0], "count": row[1]}
                    for row in connection.execute(
                        f"SELECT {name}, count(*) AS n FROM rollouts WHERE {name} != '' GROUP BY {name} "
                        f"ORDER BY {'min(place)' if name == 'stage' else 'n DESC'} LIMIT {MOST_VALUES}"
                    )
                ]
                for name in _FACETS
            }
            ends = connection.execute("SELECT min(step), max(step), min(tokens), max(tokens) FROM rollouts").fetchone()
            parts = connection.execute("SELECT name, min(low), max(high) FROM ranges GROUP BY name").fetchall()
        found["steps"], found["tokens"] = list(ends)[:2], list(ends)[2:]
        found["parts"] = [{"name": name, "low": low, "high": high} for name, low, high in parts[:MOST_VALUES]]
        return found

    def line(self, found: Found) -> dict[str, Any] | None:
        """The whole line of the log that a rollout stands in; None where the log was written anew since."""
        path = (self.run / found["path"]).resolve()
        if not path.is_relative_to(self.run) or not path.is_file():
            return None
        with path.open("rb") as stream:
            stream.seek(found["offset"])
            text = stream.read(min(found["length"], LONGEST_LINE))
        return object_of(text.decode("utf-8", errors="replace"))

    # ---- SQL --------------------------------------------------------------------------------------------------------

    def _some(self, connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[Found]:
        return [dict(row) for row in connection.execute(f"SELECT {_SHOWN} {_FROM} WHERE {where}", values)]

    def _where(self, connection: sqlite3.Connection, asked: Filter, upto: int) -> tuple[str, list[Any]]:
        said, values = asked.conditions()
        if needle := spaced(asked.text):
            names = [row[0] for row in connection.execute("SELECT 'words_' || id FROM logs ORDER BY id")]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'words_%'")}
            held = [name for name in names if name in tables]
            if held:
                phrase = '"' + needle.replace('"', '""') + '" *'
                each = " UNION ALL ".join(f"SELECT rowid FROM {name} WHERE {name} MATCH ?" for name in held)
                said.append(f"id IN ({each})")
                values += [phrase] * len(held)
            else:
                connection.create_function("said", 3, self._reader(connection, asked.text))
                said.append("said(log, offset, length)")
        return " AND ".join(["id <= ?", *said]), [upto, *values]

    def _reader(self, connection: sqlite3.Connection, text: str) -> Any:
        """Without FTS5: whether the line at a place of a log holds the words."""
        paths = {row[0]: row[1] for row in connection.execute("SELECT id, path FROM logs")}

        def said(log: int, offset: int, length: int) -> bool:
            row = self.line({"path": paths[log], "offset": offset, "length": length}) or {}
            return any(holds(str(row.get(key) or ""), text) for key in ("prompt", "completion"))

        return said
