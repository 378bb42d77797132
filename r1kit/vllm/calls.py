"""Calls of a vLLM server: JSON both ways, a deadline on each, every way to fail named. No torch here.

Each call has a connection of its own, which another thread can cut: whoever waits for a server that turns out to be
gone stops waiting then, and not at the deadline of its own call.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from r1kit.errors import InputError
from r1kit.rollout.replica import ReplicaLost

__all__ = ["Calls", "Refused", "check_address", "own_address"]

CONNECT = 5.0
"""Seconds until a host that says nothing at all counts as not there."""
LOOK = 0.2
"""Seconds between two looks at deadlines."""
WORKER = re.compile(r"Worker failed with error '(.*)', please check the stack trace")
"""What a worker says, in vLLM's answer."""
SHOWN = 200
"""Characters of a server's own words that a message repeats."""


class Refused(Exception):
    """The server understood the call and declines it; ``str(error)`` is what it says."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(eq=False, slots=True)
class _Going:
    """A call that is going on."""

    connection: HTTPConnection
    deadline: float
    late: str
    """What is said at the deadline."""
    cut: str = ""
    """Why it was cut; empty: it was not."""

    def end(self, why: str) -> None:
        self.cut = self.cut or why
        if self.connection.sock is not None:
            with suppress(OSError):
                self.connection.sock.shutdown(socket.SHUT_RDWR)


def check_address(address: str) -> None:
    """Raise InputError for what is no ``http://HOST:PORT``."""
    parts = urlsplit(address)
    try:
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        whole = False
    if not whole or parts.query or parts.path.strip("/"):
        raise InputError(f"engine.address {address!r} is no address of a server; write http://HOST:PORT")


def own_address(host: str, port: int) -> str:
    """The address of this machine from which that one is reached; nothing is sent."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


class Calls:
    """To one address. Any thread may call; ``close`` it."""

    def __init__(self, address: str) -> None:
        """``address``: ``http://HOST:PORT``. A key is taken from ``VLLM_API_KEY``, as vLLM's own server does."""
        check_address(address)
        self.address = address.rstrip("/")
        self._parts = urlsplit(address)
        key = os.environ.get("VLLM_API_KEY")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._going: set[_Going] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name=f"deadlines of {address}", daemon=True).start()

    @property
    def own_host(self) -> str:
        """This machine's address as the server sees it."""
        return own_address(str(self._parts.hostname), int(self._parts.port or 0))

    def ask(
        self, method: str, path: str, body: Any = None, *, timeout: float, query: Mapping[str, str] | None = None
    ) -> Any:
        """What the server answers, as JSON.

        Args:
            timeout: seconds until the whole answer must be here.

        Raises:
            Refused: it declines the call (a status of 400 to 499).
            ReplicaLost: no answer, or none that can be read.
        """
        what = f"{method} {path}"
        target = path + (f"?{urlencode(query)}" if query else "")
        with self._call(what, timeout) as going:
            connection = going.connection
            self._connect(going, timeout)
            connection.request(method, target, None if body is None else json.dumps(body), self._headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        return _read(what, status, content)

    def hang_up(self, why: str) -> None:
        """Cut every call that is going on: each raises ``ReplicaLost(why)``. Later calls are made as usual."""
        with self._lock:
            for going in self._going:
                going.end(why)

    def close(self) -> None:
        """Cut what is going on; no further call is made. Idempotent."""
        self._closed.set()
        self.hang_up("its connection is closed")

    @contextmanager
    def _call(self, what: str, timeout: float) -> Iterator[_Going]:
        if self._closed.is_set():
            raise ReplicaLost("its connection is closed")
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=min(CONNECT, timeout))
        going = _Going(connection, time.monotonic() + timeout, f"no answer to {what} in {timeout:g} s")
        with self._lock:
            self._going.add(going)
        try:
            yield going
            if going.cut:  # an answer that ends with the connection looks whole
                raise ReplicaLost(going.cut)
        except (OSError, HTTPException) as error:
            raise ReplicaLost(going.cut or f"its answer to {what} broke off ({_cause(error)})") from None
        finally:
            with self._lock:
                self._going.discard(going)
            connection.close()

    def _connect(self, going: _Going, timeout: float) -> None:
        try:
            going.connection.connect()
        except TimeoutError:
            raise ReplicaLost(going.cut or f"no connection in {min(CONNECT, timeout):g} s") from None
        except OSError as error:
            raise ReplicaLost(going.cut or f"nothing listens there ({_cause(error)})") from None
        going.connection.sock.settimeout(None)  # the deadline is watched
        if going.cut:  # before there was anything to cut
            raise ReplicaLost(going.cut)

    def _watch(self) -> None:
        """End what is late."""
        while not self._closed.wait(LOOK):
            with self._lock:
                for going in self._going:
                    if time.monotonic() > going.deadline:
                        going.end(going.late)


def _read(what: str, status: int, content: bytes) -> Any:
    try:
        found, is_json = json.loads(content) if content else None, True
    except ValueError:
        found, is_json = None, False
    if 400 <= status < 500:
        raise Refused(status, _words(found, content))
    if not 200 <= status < 300:
        raise ReplicaLost(f"it answers {what} with {status}: {_words(found, content)}")
    if not is_json:
        raise ReplicaLost(f"its answer to {what} is not JSON: {_words(found, content)}")
    return found


def _words(found: Any, content: bytes) -> str:
    """What an answer says, in one line: vLLM's own message where it is one of its errors."""
    error = found.get("error", found.get("detail")) if isinstance(found, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    line = " ".join(str(text or content[: 4 * SHOWN].decode(errors="replace")).split())
    if told := WORKER.search(line):
        line = told[1]
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def _cause(error: BaseException) -> str:
    """What the operating system says, or the library."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
