"""A helper of the run, as a rank sees it: found by its name, connected to when it is there, again after it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.cluster.directory import Address, where
from r1kit.cluster.link import Link
from r1kit.cluster.settings import Cluster
from r1kit.cluster.wire import Lost
from r1kit.errors import R1Error

__all__ = ["Opened", "Remote", "wait_for"]

START_SECONDS = 60.0
"""How long helpers that are there wait for those that are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What helpers are to work with, alike on all ranks."""

    kind: str
    """``engine`` or ``verifier``."""
    key: str
    """Of this one among all that the run opens."""
    payload: bytes
    """What a helper makes it of."""


class Remote:
    """See ``dealing.Answerer``."""

    def __init__(
        self, number: int, opened: Opened, cluster: Cluster, find: Callable[[str], Address | None] = where
    ) -> None:
        """
        Args:
            number: of the helper among those of its kind.
            opened: what it works with.
            cluster: says when it is lost.
            find: its address by its name.
        """
        self.opened, self._cluster, self._find = opened, cluster, find
        self._helper, self._at = f"{opened.kind} {number}", ""
        self._connecting, self._closed = threading.Lock(), False
        self._link: Link | None = None

    @property
    def name(self) -> str:
        """With its address, once that was known."""
        return f"{self._helper}{self._at}"

    def alive(self) -> None:
        """Connects where it must. Beyond that the link finds out by itself whether the helper lives, and the helper
        whether it computes."""
        with self._connecting:
            if self._closed:
                raise Lost("it was closed")
            if self._link is None or self._link.broken:
                self._link = self._connect()

    def ask(self, *request: Any) -> Iterator[Any]:
        """See ``Link.ask``."""
        return self.link().ask(*request)

    def link(self) -> Link:
        """The connection. Raises Lost where there is none."""
        link = self._link
        if link is None or link.broken:
            raise Lost(link.broken if link is not None else "it has not started yet")
        return link

    def close(self) -> None:
        """Let go of it. Idempotent."""
        with self._connecting:
            self._closed = True
            if self._link is not None:
                self._link.close()

    def _connect(self) -> Link:
        address = self._find(self._helper)
        if address is None:
            raise Lost("it has not started yet")
        self._at = f" at {address[0]}:{address[1]}"
        own, cluster = self.opened, self._cluster
        return Link(address, own.kind, own.key, own.payload, cluster.heartbeat, cluster.lost_after)


def wait_for(helpers: Sequence[Remote], patience: float) -> None:
    """Until all are there; or some, for a while.

    Raises:
        R1Error: none is there after ``patience`` seconds; or a helper's own, when it cannot open what it is to.
    """
    began, missing = time.monotonic(), dict.fromkeys(helpers, "")
    while missing:
        for helper in list(missing):
            try:
                helper.alive()
                del missing[helper]
            except Lost as lost:
                missing[helper] = str(lost)
        waited = time.monotonic() - began
        if len(missing) < len(helpers) and waited > START_SECONDS:
            return
        if missing and waited > patience:
            why = "; ".join(f"{helper.name}: {reason}" for helper, reason in missing.items())
            kind = helpers[0].opened.kind
            raise R1Error(f"no {kind} was there after {waited:.0f} s ({why}); run the same command to go on")
        if missing:
            time.sleep(0.1)
