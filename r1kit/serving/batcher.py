"""One thread that samples: requests join what is running, and what is written goes back to the event loop in bundles.

Python runs one thread at a time, so every hand-over costs the engine: what rows that go on wrote is handed over after
some sampling (``_WORK``, or ``_WALL`` where others take the processor), what has ended at once.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from r1kit.errors import R1Error
from r1kit.records import Sampling
from r1kit.rollout.piece import Open, Piece, Scored, Ticket

__all__ = ["Ask", "Batcher", "Busy"]

_WORK, _WALL = 0.04, 0.2
"""Seconds of this thread's processor time, and of the clock, between two hand-overs of what rows that go on wrote."""


class Busy(R1Error):
    """As many completions run and wait as are let in."""


@dataclass(slots=True, eq=False)
class Ask:
    """One prompt, from an event loop."""

    prompt: Sequence[int]
    sampling: Sampling
    seed: int
    tell: Callable[[Piece | Exception], None]
    """In the event loop; an exception is the last thing that is told."""
    top: int | None = None
    """See ``Open.listen``."""
    often: bool = True
    """Told what comes as it comes; else each completion once, whole."""
    held: dict[int, list[Piece]] = field(default_factory=dict)
    """What was written and not told yet; the sampling thread's, as are the next two."""
    ticket: Ticket | None = None
    left: set[int] = field(default_factory=set)
    """Rows that have not ended."""


@dataclass(frozen=True, slots=True)
class _Cancel:
    ask: Ask
    row: int | None


@dataclass(frozen=True, slots=True)
class _Read:
    prompt: Sequence[int]
    top: int
    tell: Callable[[list[Scored] | Exception], None]


class Batcher:
    """Prompts of an event loop on their way through an open engine, which this thread alone touches."""

    def __init__(self, engine: Open, *, most: int) -> None:
        """``most``: completions that run and wait at the same time."""
        self.most = most
        self.open = 0
        """Completions that run or wait; the event loop's count."""
        self.failed = ""
        """Why it ended, in one line; empty: it runs."""
        self._engine = engine
        self._inbox: deque[Ask | _Cancel | _Read] = deque()
        self._came: deque[Ask | _Cancel | _Read] = deque()
        """Of the inbox, what the thread is about to take."""
        self._woken = threading.Condition()
        self._closing = False
        self._asks: dict[int, Ask] = {}
        self._outbox: list[Callable[[], None]] = []
        self._urgent = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    @property
    def running(self) -> int:
        """Completions in flight, at the last look."""
        return self._running

    _running = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sample for this event loop."""
        self._loop = loop
        self._thread.start()

    def close(self) -> None:
        """End the thread; what is under way is told nothing any more. Idempotent."""
        with self._woken:
            self._closing = True
            self._woken.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, ask: Ask) -> None:
        """A prompt joins. Called in the event loop.

        Raises:
            Busy: too many are here already.
            R1Error: sampling has failed, so nothing is answered any more.
        """
        if self.open + ask.sampling.n > self.most and not self.failed:
            raise Busy(f"{self.open} completions run or wait, and at most {self.most} may; try again in a moment")
        self._put(ask)
        self.open += ask.sampling.n

    def cancel(self, ask: Ask, row: int | None = None) -> None:
        """One of its completions, or all, are wanted no more."""
        with suppress(R1Error):
            self._put(_Cancel(ask, row))

    def read(self, prompt: Sequence[int], top: int, tell: Callable[[list[Scored] | Exception], None]) -> None:
        """See ``Open.read``.

        Raises:
            R1Error: as ``submit``.
        """
        self._put(_Read(prompt, top, tell))

    def _put(self, what: Ask | _Cancel | _Read) -> None:
        with self._woken:
            if self.failed:
                raise R1Error(f"sampling has ended: {self.failed}")
            self._inbox.append(what)
            self._woken.notify()

    # ---- the sampling thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            with self._woken:  # whatever comes after this is refused by ``_put``
                self.failed = f"{type(error).__name__}: {error}".splitlines()[0][:300]
                came = [what for what in (*self._came, *self._inbox) if not isinstance(what, _Cancel)]
            for waiting in {id(what): what for what in (*self._asks.values(), *came)}.values():
                self._outbox.append(partial(waiting.tell, R1Error(f"sampling failed: {self.failed}")))
            self._asks.clear()
            self._post()

    def _sample(self) -> None:
        busy, worked, told = False, 0.0, 0.0
        while True:
            with self._woken:
                while not (busy or self._inbox or self._closing):
                    self._woken.wait()
                if self._closing:
                    return
                self._came, self._inbox = self._inbox, deque()
            while self._came:
                self._take(self._came[0])
                self._came.popleft()
            work, now = time.thread_time(), time.monotonic()
            due = work - worked >= _WORK or now - told >= _WALL
            busy = self._engine.advance(due)
            self._running = self._engine.running
            if due:
                worked, told = work, now
            if self._outbox and (due or self._urgent):
                self._post()

    def _take(self, what: Ask | _Cancel | _Read) -> None:
        if isinstance(what, _Cancel):
            self._cancel(what.ask, what.row)
            return
        try:
            if isinstance(what, _Read):
                self._outbox.append(partial(what.tell, self._engine.read(what.prompt, what.top)))
            else:
                self._asks[id(what)] = what
                what.left = set(range(what.sampling.n))
                wrote = partial(self._wrote, what)
                what.ticket = self._engine.listen(what.prompt, what.sampling, what.seed, wrote, what.top)
        except R1Error as error:
            self._outbox.append(partial(what.tell, error))
            if isinstance(what, Ask):
                self._free(what, what.left)
        self._urgent = True

    def _wrote(self, ask: Ask, piece: Piece) -> None:
        if not ask.often:
            ask.held.setdefault(piece.row, []).append(piece)
            if not piece.finish:
                return
            piece = _joined(ask.held.pop(piece.row))
        self._outbox.append(partial(ask.tell, piece))
        if piece.finish:
            self._urgent = True
            self._free(ask, {piece.row})

    def _cancel(self, ask: Ask, row: int | None) -> None:
        if ask.ticket is None or not ask.left:
            return
        self._engine.cancel(ask.ticket, row)
        self._free(ask, ask.left if row is None else {row})
        self._urgent = True

    def _free(self, ask: Ask, rows: set[int]) -> None:
        """These rows are counted no more."""
        gone = len(ask.left & rows)
        ask.left = ask.left - rows
        if not ask.left:
            self._asks.pop(id(ask), None)
        self._outbox.append(partial(self._closed, gone))

    def _closed(self, rows: int) -> None:
        self.open -= rows

    def _post(self) -> None:
        """Hand the outbox over."""
        outbox, self._outbox, self._urgent = self._outbox, [], False
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_each, outbox)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._closing = True


def _joined(pieces: Sequence[Piece]) -> Piece:
    tokens = [token for piece in pieces for token in piece.token_ids]
    scored = [one for piece in pieces for one in piece.scored]
    return Piece(pieces[-1].row, tokens, scored, pieces[-1].finish)


def _each(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()
