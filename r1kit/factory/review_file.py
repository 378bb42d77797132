"""``review.jsonl`` as several people, pages and commands write it at once: a decision is appended under a lock, and is
on the disk before anybody is told that it was taken."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from r1kit.errors import InputError, R1Error, nearest
from r1kit.factory.review import (
    AUTOMATIC,
    Decision,
    Item,
    decided,
    decision_line,
    is_torn,
    now,
    person,
    read_queue,
    shared_out,
)
from r1kit.files import object_of, write_atomic

__all__ = ["QUEUE", "Conflict", "Decided", "ReviewFile", "told_last"]

QUEUE = "review.jsonl"
LOCK = ".review.lock"

Decided = Sequence[tuple[str, Decision]]
"""Items by id, and what was decided on them."""


class Conflict(InputError):
    """The item is not as the person saw it: somebody has decided since."""

    def __init__(self, item: Item, told: str) -> None:
        super().__init__(told)
        self.item = item


class ReviewFile:
    """Any thread may call it. What it has read is read again once the file is another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = threading.RLock()
        self._items: dict[str, Item] = {}
        self._seen: tuple[int, int, int] | None = None
        self._last = 0
        """Number of the last decision's line."""

    def items(self) -> dict[str, Item]:
        """Every item by its id, in the file's order. Raises InputError for what a hand edit broke."""
        with self._threads:
            found = _signature(self.path)
            if found is None or found != self._seen:
                self._items = {item.id: item for item in read_queue(self.path)}
                self._last = max((each.line for item in self._items.values() for each in item.history), default=0)
                self._seen = found
            return self._items

    def item(self, identity: str) -> Item:
        """One of them. Raises InputError where there is none."""
        found = self.items().get(identity)
        if found is None:
            raise InputError(f"no sample {identity!r} waits for review.{nearest(identity, self.items())}")
        return found

    def decide(self, identity: str, decision: Decision, state: str | None = None) -> Item:
        """Append a decision; the item after it.

        Args:
            identity: of the item.
            decision: its time is filled in where it has none.
            state: the item's as the person saw it; None: whatever it is. Of two who decide blind, neither has to know
                of the other.

        Raises:
            InputError: no such item, no name, or an edit without text.
            Conflict: the item is in another state.
        """
        if not decision.by.strip():
            raise InputError("a decision needs a name: who made it")
        if decision.status == "edited" and not decision.edited.strip():
            raise InputError(f"sample {identity!r}: an edit needs the edited response")

        def chosen() -> Decided:
            item = self.item(identity)
            fits = item.state == state or (decision.blind and item.waits in ("decision", "second"))
            if state is not None and not fits:
                told = f"sample {identity!r} {told_last(item)} since you opened it; nothing was overwritten"
                raise Conflict(item, told)
            return [(identity, replace(decision, at=decision.at or now()))]

        self._append(chosen)
        return self.item(identity)

    def decide_all(self, choose: Callable[[Mapping[str, Item]], Decided]) -> Decided:
        """Append what ``choose`` makes of the items, all of it or, where the disk is full, nothing."""
        return self._append(lambda: choose(self.items()))

    def undo(self, by: str) -> Item:
        """Take back the newest decision of a person that stands; again for the one before it.

        Raises:
            InputError: none stands.
            Conflict: somebody has decided on that item since, having seen it.
        """

        def newest() -> Decided:
            own = [
                (each.line, item, at)
                for item in self.items().values()
                for at, each in enumerate(item.standing)
                if person(each.by) == person(by)
            ]
            if not own:
                raise InputError(f"nothing to undo: no decision of {by} stands")
            _, item, at = max(own, key=lambda found: found[0])
            if any(not each.blind and person(each.by) != person(by) for each in item.standing[at + 1 :]):
                raise Conflict(item, f"sample {item.id!r} {told_last(item)} since you did; yours is not undone")
            return [(item.id, Decision(status="pending", by=by, at=now(), undo=True))]

        ((identity, _),) = self._append(newest)
        return self.item(identity)

    def share_out(self, share: float, seed: int) -> int:
        """Have about this share of the items that no person has decided go to two people, see ``shared_out``; how many
        do. All other lines stay as they are."""
        with self._locked():
            before = self.items().values()
            chosen = {item.id for item in shared_out([*before], share, seed) if item.reviewers > 1 and item.untouched}
            lines = self.path.read_text(encoding="utf-8-sig").split("\n")
            write_atomic(self.path, "\n".join(_for_two(line, chosen) for line in lines))
            return sum(item.reviewers > 1 for item in self.items().values())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, over threads and processes; the kernel frees it when a process dies."""
        with self._threads, (self.path.parent / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _append(self, choose: Callable[[], Decided]) -> Decided:
        """Append what ``choose`` makes of the file as it is; again, where an editor has replaced it meanwhile."""
        with self._locked():
            while True:
                items, text = self.items(), ""
                after: dict[str, Item] = {}
                decisions = choose()
                first = self._last + len(items)
                for number, (identity, decision) in enumerate(decisions, start=first):
                    item = after.get(identity) or items[identity]
                    after[identity] = decided(item, replace(decision, line=number))
                    text += decision_line(identity, decision, after[identity])
                try:
                    if text and not _write(self.path, text, self._seen):
                        continue
                except OSError as error:
                    raise R1Error(f"cannot write {self.path}: {error.strerror}; nothing was decided") from None
                self._items |= after
                self._last = first + len(decisions)
                self._seen = _signature(self.path)
                return decisions


def _for_two(line: str, chosen: set[str]) -> str:
    table = object_of(line) or {}
    if "sample" not in table or table.get("id") not in chosen:
        return line
    return json.dumps({**table, "reviewers": 2}, ensure_ascii=False)


def told_last(item: Item) -> str:
    """``was rejected by bob at 2026-11-26T10:00:00+0000``."""
    last = item.history[-1] if item.history else Decision(status="pending")
    done = "was put back" if last.undo or last.status == "pending" else f"was {last.status}"
    return f"{done} by {last.by or AUTOMATIC} at {last.at or 'an unknown time'}"


def _signature(path: Path | int) -> tuple[int, int, int] | None:
    """Of a file, or of an open one: another one means that it is to be read again."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _write(path: Path, text: str, seen: tuple[int, int, int] | None) -> bool:
    """Append, flushed to the disk; False: the file is not the one that was seen, or was replaced meanwhile, and the
    text is not in that."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        if _signature(descriptor) != seen:
            return False
        size = _mended(descriptor)
        try:
            left = text.encode()
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        here = _signature(path)
        return here is not None and here[0] == os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _mended(descriptor: int) -> int:
    """End the last line where that has no end, or take off what a kill tore; the file's size then."""
    size = os.fstat(descriptor).st_size
    tail, start = b"", size
    while start > 0 and b"\n" not in tail:
        start = max(0, start - 65536)
        tail = os.pread(descriptor, size - start, start)
    tail = tail.rpartition(b"\n")[2]
    if is_torn(tail):
        os.ftruncate(descriptor, size := size - len(tail))
    elif tail:
        size += os.write(descriptor, b"\n")
    return size
