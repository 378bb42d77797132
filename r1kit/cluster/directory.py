"""Where a run's helpers are: they say so to whoever started the run, and the ranks ask there.

A helper that dies is started again, perhaps on another host, always with another port; so ranks ask before they
connect. What a helper says it goes on saying, as its sign of life; when nobody is there to hear it any more, it ends.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from threading import Lock
from typing import NoReturn

from r1kit.cluster.wire import TOKEN, Listener, Lost, Wire, dial

__all__ = ["DIRECTORY", "HOST", "LIFE", "NAME", "Address", "Directory", "is_directed", "register", "where"]

DIRECTORY, NAME, LIFE, HOST = "R1KIT_DIRECTORY", "R1KIT_NAME", "R1KIT_LIFE", "R1KIT_HOST"
"""Environment: HOST:PORT of the directory; of a helper: its name, how often it was started before, where it listens."""

Address = tuple[str, int]


@dataclass(slots=True)
class _Known:
    life: int
    address: Address
    heard: float


class Directory:
    """Of one run, in the process that started it."""

    def __init__(self, host: str, token: bytes) -> None:
        self._known: dict[str, _Known] = {}
        self._lock = Lock()
        self._listener = Listener(host, token, self._serve)
        self.address: Address = (host, self._listener.port)

    def silent(self, name: str, life: int) -> float:
        """Seconds since a helper was last heard, in this life; 0 for one that has not said where it is yet."""
        with self._lock:
            known = self._known.get(name)
            return time.monotonic() - known.heard if known is not None and known.life == life else 0.0

    def forget(self, name: str) -> None:
        """It has ended."""
        with self._lock:
            self._known.pop(name, None)

    def close(self) -> None:
        """Nobody is answered any more."""
        self._listener.close()

    def _serve(self, wire: Wire, purpose: str, name: str, life: int = 0, address: Address = ("", 0)) -> None:
        if purpose == "where":
            with self._lock:
                known = self._known.get(name)
            wire.send(known.address if known else None)
            return
        while True:
            with self._lock:
                known = self._known.get(name)
                replaced = known is not None and known.life > life
                if not replaced:
                    self._known[name] = _Known(life, address, time.monotonic())
            wire.send(not replaced)
            wire.receive()


def is_directed() -> bool:
    """Has this process's run a directory?"""
    return DIRECTORY in os.environ


def where(name: str) -> Address | None:
    """Of a helper of this run; None: it is not there yet.

    Raises:
        Lost: the directory does not answer.
    """
    wire = dial(_directory(), token(), "where", name)
    try:
        (address,) = wire.receive()
        return None if address is None else (str(address[0]), int(address[1]))
    finally:
        wire.close()


def register(port: int, heartbeat: float, patience: float) -> NoReturn:
    """Say that this process is the helper of its name and listens at the port, again and again.

    Returns never: the process ends when another was started in its place, or when the directory was gone for
    ``patience`` seconds.
    """
    name, life, address = os.environ[NAME], int(os.environ[LIFE]), (os.environ[HOST], port)
    heard = time.monotonic()
    while time.monotonic() - heard < patience:
        try:
            wire = dial(_directory(), token(), "here", name, life, address)
            wire.patience(patience)
            while wire.receive() == (True,):
                heard = time.monotonic()
                time.sleep(heartbeat)
                wire.send("alive")
            break
        except Lost:
            time.sleep(heartbeat)
    os._exit(0)


def token() -> bytes:
    """The run's token, from the environment."""
    return os.environ[TOKEN].encode()


def _directory() -> Address:
    host, _, port = os.environ[DIRECTORY].rpartition(":")
    return host, int(port)
