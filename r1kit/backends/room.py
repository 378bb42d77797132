"""What ranks elsewhere work with, kept as long as one of them is connected for it.

One thread does the work, in the order in which it was asked for; connections have threads of their own.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from r1kit.cluster.wire import Lost, Wire
from r1kit.errors import R1Error, first_line

__all__ = ["Ask", "Kept", "Room"]

_T = TypeVar("_T")


@dataclass(slots=True)
class Kept(Generic[_T]):
    """One thing that was opened."""

    thing: _T
    users: int = 0
    version: int | None = None
    """Of an engine's weights; None: it has none, or a mixture."""


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """One request."""

    key: str
    """Of the thing that it is for."""
    wire: Wire
    number: int
    """Its number on the wire."""
    request: tuple[Any, ...]

    def send(self, *told: Any) -> None:
        """A word back; nobody hears it where the rank is gone."""
        with suppress(Lost):
            self.wire.send(self.number, *told)


class Room(Generic[_T]):
    """The base of a helper's work; a subclass says what is opened, answered and closed."""

    def __init__(self, end: Callable[[str], None]) -> None:
        """``end``: ends this process, with the reason, when the work fails: it may not be trusted any more."""
        self._end = end
        self.kept: dict[str, Kept[_T]] = {}
        self._jobs: deque[Ask | Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self.busy = False
        """Whether the thread computes at the moment; then its processor time must grow."""
        self.thread = threading.Thread(target=self._work, name="work", daemon=True)
        self.thread.start()

    def open(self, payload: bytes) -> _T:
        """Made of what the first rank sent. Raises R1Error."""
        raise NotImplementedError

    def close(self, thing: _T) -> None:
        """Nobody is connected for it any more."""
        raise NotImplementedError

    def answer(self, thing: _T, ask: Ask) -> None:
        """Answer a request, at last with ``done``, ``lost`` or ``refused``; that may be later."""
        raise NotImplementedError

    def turn(self) -> bool:
        """Go on a little with what is under way, between requests; whether any is left."""
        return False

    @property
    def state(self) -> dict[str, int | None]:
        """Version by key, for whoever asks for a sign of life."""
        return {key: kept.version for key, kept in list(self.kept.items())}

    def requests(self, wire: Wire, key: str) -> None:
        """A rank's requests, until it leaves."""
        if not self.on_thread(lambda: self._join(key)):
            wire.send("unknown")
            (payload,) = wire.receive()
            try:
                self.on_thread(lambda: self._open(key, payload))
            except R1Error as error:
                wire.send("refused", error.exit_code, str(error))
                return
        try:
            wire.send("open")
            while True:
                number, *request = wire.receive()
                self._add(Ask(key, wire, number, tuple(request)))
        finally:
            self._add(lambda: self._leave(key))

    def _join(self, key: str) -> bool:
        """Whether it is there, for which the connection then counts."""
        if key in self.kept:
            self.kept[key].users += 1
        return key in self.kept

    def _open(self, key: str, payload: bytes) -> None:
        if not self._join(key):  # another rank may have been faster
            self.kept[key] = Kept(self.open(payload), users=1)

    def _leave(self, key: str) -> None:
        kept = self.kept[key]
        kept.users -= 1
        if not kept.users:
            self.close(self.kept.pop(key).thing)

    # ---- the thread that works --------------------------------------------------------------------------------------

    def on_thread(self, work: Callable[[], Any]) -> Any:
        """What ``work`` returns on the thread that works; or what it raises."""
        found: Future[Any] = Future()

        def do() -> None:
            try:
                found.set_result(work())
            except BaseException as error:
                found.set_exception(error)

        self._add(do)
        return found.result()

    def _add(self, job: Ask | Callable[[], None]) -> None:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def _work(self) -> None:
        left = False
        while True:
            with self._changed:
                if not left:
                    self._changed.wait_for(lambda: self._jobs)
                job = self._jobs.popleft() if self._jobs else None
            if job is not None and not isinstance(job, Ask):
                job()
                continue
            self.busy = True
            try:
                if job is not None:
                    self.answer(self.kept[job.key].thing, job)  # it is there: its connection leaves after this
                left = self.turn()
            except Exception as error:
                traceback.print_exc()
                self._end(f"failed: {type(error).__name__}: {first_line(error)}")
            self.busy = False
