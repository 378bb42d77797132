"""A rank's connections to one helper: requests and their answers on one, signs of life on another."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from queue import SimpleQueue
from typing import Any

from r1kit.cluster.directory import Address, token
from r1kit.cluster.wire import Lost, Wire, dial
from r1kit.errors import InputError, MissingError, R1Error

__all__ = ["Link", "refusal"]


class Link:
    """Open until ``close``, or until either end breaks: then ``broken`` says how, and every call raises Lost."""

    def __init__(self, address: Address, kind: str, key: str, payload: bytes, heartbeat: float, lost_after: float):
        """
        Args:
            address: of the helper.
            kind: what it is to do.
            key: of the thing to work with; opened from ``payload`` by the first who asks for it.
            heartbeat, lost_after: see ``Cluster``.

        Raises:
            Lost: it is not there.
            R1Error: it cannot open the thing.
        """
        self.broken = ""
        self._address, self._key, self._client = address, key, uuid.uuid4().hex
        self._heartbeat, self._lost_after = heartbeat, lost_after
        self._waiting: dict[int, SimpleQueue[tuple[Any, ...]]] = {}
        self._numbers, self._lock, self._beating, self._wires = (
            count(),
            threading.Lock(),
            threading.Lock(),
            list[Wire](),
        )
        self._heart = self.wire("heart")
        self._heart.patience(lost_after)
        threading.Thread(target=self._beat, name="heart", daemon=True).start()
        try:
            self._work = self.wire(kind)
            if self._work.receive() == ("unknown",):
                self._work.send(payload)
                if (answer := self._work.receive()) != ("open",):
                    raise refusal(*answer[1:])
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._read, name="answers", daemon=True).start()

    def wire(self, purpose: str) -> Wire:
        """A further connection, cut with the others. Raises Lost."""
        wire = dial(self._address, token(), purpose, self._key, self._client)
        with self._lock:
            self._wires.append(wire)
            broken = self.broken
        if broken:
            wire.cut()
            raise Lost(broken)
        return wire

    def hang_up(self, wire: Wire) -> None:
        """Give one of the connections back."""
        with self._lock, suppress(ValueError):
            self._wires.remove(wire)
        wire.close()

    def ask(self, *request: Any) -> Iterator[Any]:
        """The answers to a request, as they come; ends with the last.

        Raises:
            Lost: they cannot come any more.
            R1Error: the request was refused.
        """
        number, answers = next(self._numbers), SimpleQueue[tuple[Any, ...]]()
        with self._lock:
            if self.broken:
                raise Lost(self.broken)
            self._waiting[number] = answers
        try:
            self._work.send(number, *request)
        except Lost as lost:
            self.fail(str(lost))
        while True:
            kind, *told = answers.get()
            if kind == "told":
                yield told
            elif kind == "done":
                return
            elif kind == "lost":
                raise Lost(*told)
            else:
                raise refusal(*told)

    def fail(self, why: str) -> None:
        """Break it: all that wait are told. Only the first reason counts."""
        with self._lock:
            if self.broken:
                return
            self.broken = why
            waiting, self._waiting = list(self._waiting.values()), {}
            for wire in self._wires:
                wire.cut()
        for answers in waiting:
            answers.put(("lost", why))

    def close(self) -> None:
        """Let go of the helper, which drops what nobody holds any more. Idempotent."""
        self.fail("it was closed")

    def _read(self) -> None:
        """The thread that takes answers."""
        try:
            while True:
                number, *told = self._work.receive()
                with self._lock:
                    answers = self._waiting.get(number)
                    if told[0] != "told":
                        self._waiting.pop(number, None)
                if answers is not None:
                    answers.put(tuple(told))
        except Lost as lost:
            self.fail(str(lost))
        finally:
            self._work.close()

    def look(self) -> Any:
        """What it says of itself now. Raises Lost."""
        try:
            with self._beating:
                self._heart.send("beat")
                (state,) = self._heart.receive()
                return state
        except Lost as lost:
            silent = str(lost) == "it does not answer"
            self.fail(f"no sign of life for {self._lost_after:g} s" if silent else str(lost))
            raise Lost(self.broken) from None

    def _beat(self) -> None:
        """The thread that asks for signs of life."""
        with suppress(Lost):
            while not self.broken:
                self.look()
                time.sleep(self._heartbeat)
        self._heart.close()


def refusal(code: int, text: str) -> R1Error:
    """An error that a helper told, as it was there."""
    kind = {error.exit_code: error for error in (R1Error, InputError, MissingError)}[code]
    return kind(text)
