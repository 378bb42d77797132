"""Requests dealt to several helpers that can all answer them: to the least loaded, and again when one is lost.

It does not matter which helper answers a request, nor how often it had to be asked. A helper that is lost is named in
one line; its requests go to the others or wait until one is back. Nothing that failed ever becomes an answer.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from r1kit.cluster.wire import Lost
from r1kit.errors import R1Error

__all__ = ["LOG", "Answerer", "Dealer", "Member", "Request", "Words", "note"]

LOG = "helpers.jsonl"


def note(kind: str, number: int, name: str, lost: str = "") -> None:
    """Append a line: the helper serves, or is lost. Nothing where no run folder is told (``R1KIT_RUN``), or it cannot
    be written to.

    Args:
        kind: ``engine`` or ``verifier``.
        number: its place among its kind, which it keeps wherever it is started again.
        name: as it is called now.
        lost: why; empty: it serves.
    """
    run = os.environ.get("R1KIT_RUN")
    if not run:
        return
    line = {"at": round(time.time(), 1), "kind": kind, "number": number, "name": name}
    line |= {"lost": lost} if lost else {}
    try:
        with (Path(run) / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError:  # the run itself will say so
        return


AT_ONCE = 128
"""Requests that a helper is given at a time where each is a call of its own."""
MOST_LOSSES = 10
"""Helpers that one request may lose before it is taken to be the cause."""


class Answerer(Protocol):
    """What requests are dealt to; calls come from several threads."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def alive(self) -> None:
        """Raises Lost."""
        ...


_H = TypeVar("_H", bound=Answerer)


@dataclass(eq=False, slots=True)
class Request:
    """What is asked, and who waits for it."""

    payload: Any
    kind: Hashable
    """Requests of one kind can be asked together."""
    rows: int
    """How much work it is."""
    answer: Future[Any] = field(default_factory=Future)
    losses: int = 0
    """Helpers that were lost while they had it."""

    def settle(self, found: Any) -> None:
        """Tell whoever waits, unless nobody does any more."""
        with suppress(InvalidStateError):
            if isinstance(found, BaseException):
                self.answer.set_exception(found)
            else:
                self.answer.set_result(found)


@dataclass(eq=False, slots=True)
class Member(Generic[_H]):
    """A helper as the dealer sees it."""

    helper: _H
    together: bool
    """Takes all requests of a kind in one call."""
    lost: str = ""
    """Why it does not serve; empty: it serves."""
    life: int = 0
    """Times that it was lost: what a thread of an earlier life says no longer counts."""
    out: dict[Request, None] = field(default_factory=dict)
    """What it was given and has not answered, in order."""

    @property
    def rows(self) -> int:
        return sum(request.rows for request in self.out)

    @property
    def has_room(self) -> bool:
        return not self.lost and (self.together or len(self.out) < AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a dealer speaks of its helpers."""

    helper: str
    """``engine``."""
    request: str
    """``prompt``."""
    doing: str
    """``sampling``."""
    done: str
    """``sampled``."""


class Dealer(Generic[_H]):
    """Deals until it is closed. What a helper does with requests, a subclass says."""

    def __init__(
        self, helpers: Sequence[tuple[_H, bool]], words: Words, *, tell: Callable[[str], None], look_every: float,
        patience: float, offset: int = 0,
    ) -> None:  # fmt: skip
        """
        Args:
            helpers: at least one, and whether it takes requests together.
            words: for messages.
            tell: takes a line for the user.
            look_every: seconds between two looks at whether a helper lives, or is back.
            patience: seconds without any helper after which what waits fails.
            offset: whose turn is first, so that several dealers do not all begin with the same one.
        """
        self._words, self._tell, self._look_every, self._patience = words, tell, look_every, patience
        self._notes = offset == 0
        self._members = [Member(helper, together) for helper, together in helpers]
        first = offset % len(self._members)
        self._turn = self._members[first:] + self._members[:first]
        self._changed = threading.Condition()
        self._queue: list[Request] = []
        self._none_since = time.monotonic()
        self._closed = threading.Event()
        for member in self._members:
            self._note(member)
            threading.Thread(target=self._look_after, args=(member,), name=member.helper.name, daemon=True).start()

    def call(self, helper: _H, bundle: Sequence[Request], told: Callable[[Request, Any], None]) -> None:
        """Ask a helper: requests of one kind, or one. Each answer is told as it comes; errors are raised."""
        raise NotImplementedError

    def welcome(self, member: Member[_H]) -> bool:
        """Let a helper that lives again serve; False: not yet. Raises Lost."""
        member.lost = ""
        return True

    # ---- dealing ----------------------------------------------------------------------------------------------------

    def deal(self) -> None:
        """Give what waits to helpers that have room; the lock is held."""
        given: dict[Member[_H], list[Request]] = {}
        while self._queue and (free := [member for member in self._turn if member.has_room]):
            member, request = min(free, key=lambda member: member.rows), self._queue.pop(0)
            if request.answer.cancelled():
                continue
            member.out[request] = None
            given.setdefault(member, []).append(request)
        for member, requests in given.items():
            for bundle in _bundles(requests, member.together):
                threading.Thread(target=self._ask, args=(member, member.life, bundle), daemon=True).start()

    def _ask(self, member: Member[_H], life: int, bundle: Sequence[Request]) -> None:
        """One call of a helper, on a thread of its own."""
        try:
            self.call(member.helper, bundle, lambda request, found: self._take(member, life, request, found))
        except Lost as lost:
            self.lose(member, str(lost), life)
        except BaseException as error:  # told to whoever waits for it
            for request in bundle:
                self._take(member, life, request, error)

    def _take(self, member: Member[_H], life: int, request: Request, found: Any) -> None:
        """A request's answer, unless it has gone to another helper since."""
        with self._changed:
            if member.life != life or request not in member.out:
                return
            del member.out[request]
            self.deal()
            self._changed.notify_all()
        request.settle(found)

    # ---- losing and finding -----------------------------------------------------------------------------------------

    def lose(self, member: Member[_H], why: str, life: int) -> None:
        """What the helper had goes back to the head of the queue."""
        with self._changed:
            if member.life != life or member.lost or self._closed.is_set():
                return
            had = [request for request in member.out if not request.answer.cancelled()]
            member.lost, member.life, member.out = why, life + 1, {}
            for request in had:
                request.losses += 1
            spoilt = [request for request in had if request.losses >= MOST_LOSSES]
            self._queue[:0] = [request for request in had if request.losses < MOST_LOSSES]
            left = any(not other.lost for other in self._members)
            self._none_since = time.monotonic()
            self.deal()
            self._changed.notify_all()
        self._note(member)
        words = self._words
        where = "on the others" if left else "as soon as one is back"
        count = f"{len(had)} {words.request}{'' if len(had) == 1 else 's'}"
        again = f"; what it was {words.doing} ({count}) is {words.done} again {where}"
        self._tell(f"{member.helper.name} is lost: {why}{again if had else ''}")
        for request in spoilt:
            what = f"a {words.request} lost {MOST_LOSSES} {words.helper}s one after the other, the last: {why}"
            request.settle(R1Error(what))

    def _note(self, member: Member[_H]) -> None:
        """That a helper serves, or does not, for whoever reads the run folder; the first rank's word."""
        if self._notes:
            note(self._words.helper, self._members.index(member), member.helper.name, member.lost)

    def _look_after(self, member: Member[_H]) -> None:
        """The thread of a helper, until ``close``."""
        while not self._closed.wait(self._look_every):
            life = member.life
            try:
                member.helper.alive()
                if member.lost and self.welcome(member):
                    self._note(member)
                    self._tell(f"{member.helper.name} is back")
                    with self._changed:
                        self.deal()
            except Exception as error:  # Lost, or what a helper did not foresee
                self.lose(member, str(error) or type(error).__name__, life)
            self._give_up()

    def _give_up(self) -> None:
        """Fail what waits when no helper has served for too long."""
        with self._changed:
            waited = time.monotonic() - self._none_since
            if not self._queue or waited < self._patience or any(not member.lost for member in self._members):
                return
            waiting, self._queue = self._queue, []
            self._changed.notify_all()
        why = "; ".join(f"{member.helper.name}: {member.lost}" for member in self._members)
        none = f"no {self._words.helper} has served for {waited:.0f} s ({why}); run the same command to go on"
        for request in waiting:
            request.settle(R1Error(none))

    def end(self) -> None:
        """Deal no more; what was asked for and not answered is cancelled. Idempotent."""
        self._closed.set()
        with self._changed:
            waiting = [*self._queue, *(request for member in self._members for request in member.out)]
            self._queue = []
            for member in self._members:
                member.life, member.out = member.life + 1, {}
        for request in waiting:
            request.answer.cancel()


def _bundles(requests: Sequence[Request], together: bool) -> list[list[Request]]:
    """Requests of one call each."""
    if not together:
        return [[request] for request in requests]
    bundles: dict[Hashable, list[Request]] = {}
    for request in requests:
        bundles.setdefault(request.kind, []).append(request)
    return list(bundles.values())
