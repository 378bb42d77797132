"""Messages between processes of one run, on one host or several: TCP, both ends prove that they know the run's token.

A message is a pickle, so whoever knows the token may run anything here; it reaches a process through its environment
and nobody else. Nothing is encrypted: it is for a network that the user trusts. The standard library's connections do
the framing and the proof (HMAC of a random challenge, both ways).
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from r1kit import __version__
from r1kit.errors import InputError

__all__ = ["TOKEN", "Listener", "Lost", "Wire", "dial", "versions"]

TOKEN = "R1KIT_TOKEN"
"""Environment: what both ends must know."""
PROOF_SECONDS = 10.0
"""To connect, and to prove that one knows the token."""
WAITING = 256
"""Connections that may wait to be accepted."""


class Lost(Exception):
    """The other end is gone, silent or not one of ours; ``str(error)`` is how, in a few words."""


class Wire:
    """One connection. ``send`` may be called from several threads; one thread receives."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(None)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._connection = Connection(os.dup(connected.fileno()))
        self._sending = threading.Lock()

    def send(self, *message: Any) -> None:
        """Raises Lost."""
        packed = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._sending, _lost():
            self._connection.send_bytes(packed)

    def receive(self) -> tuple[Any, ...]:
        """The next message. Raises Lost."""
        with _lost():
            message: tuple[Any, ...] = pickle.loads(self._connection.recv_bytes())
            return message

    def send_raw(self, data: memoryview) -> None:
        """Bytes as they lie in memory, of which no copy is made. Raises Lost."""
        with self._sending, _lost():
            self._connection.send_bytes(data)

    def receive_raw(self, into: memoryview) -> None:
        """The bytes of ``send_raw``, as many as there is room for. Raises Lost."""
        with _lost():
            if self._connection.recv_bytes_into(into) != len(into):
                raise OSError("fewer bytes came than were announced")

    def patience(self, seconds: float) -> None:
        """How long one ``receive`` waits for the first and every further byte; 0: for ever."""
        whole = int(seconds)
        pair = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pair)

    def prove(self, token: bytes, first: bool) -> None:
        """Both ends show that they know the token. Raises Lost."""
        self.patience(PROOF_SECONDS)
        steps = [deliver_challenge, answer_challenge]
        try:
            with _lost():
                for step in steps if first else reversed(steps):
                    step(self._connection, token)
        except AuthenticationError:
            raise Lost("it does not know this run's token") from None
        self.patience(0)

    def cut(self) -> None:
        """End it for both ends: whoever waits in one of its calls, in any thread, gets Lost."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut it and give it back. Idempotent; no other thread may be in one of its calls any more."""
        self.cut()
        self._socket.close()
        self._connection.close()

    def __del__(self) -> None:
        """Of one that nobody holds any more."""
        self._socket.close()


class _lost:
    """The system's errors in words."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EOFError | ConnectionResetError | BrokenPipeError):
            raise Lost("it closed the connection") from None
        if isinstance(error, BlockingIOError | TimeoutError):
            raise Lost("it does not answer") from None
        if isinstance(error, OSError):
            raise Lost(str(error.strerror or error)) from None


def dial(address: tuple[str, int], token: bytes, purpose: str, *about: Any) -> Wire:
    """Connect and say what for; whoever listens has agreed when this returns.

    Raises:
        Lost: nobody is there, or it is not one of ours.
        InputError: it runs another version of this package or of Python.
    """
    host, port = address
    try:
        connected = socket.create_connection(address, PROOF_SECONDS)
    except OSError as error:
        raise Lost(f"nothing answers at {host}:{port} ({error.strerror or error})") from None
    wire = Wire(connected)
    try:
        wire.prove(token, first=False)
        wire.send(versions(), purpose, *about)
        wire.patience(PROOF_SECONDS)
        (theirs,) = wire.receive()
        wire.patience(0)
    except BaseException:
        wire.close()
        raise
    if theirs != versions():
        wire.close()
        raise InputError(f"{host}:{port} runs {theirs}, this process {versions()}; install the same on both")
    return wire


class Listener:
    """Accepts connections until it is closed, each on a thread of its own.

    Args:
        host: address to listen on, at a port that is free.
        token: what the other end must know.
        serve: called with each new ``Wire``, the purpose and what came with it; the wire is closed when it returns.
    """

    def __init__(self, host: str, token: bytes, serve: Callable[..., None]) -> None:
        self._socket = socket.create_server((host, 0), backlog=WAITING)
        self._token, self._serve, self._open = token, serve, True
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, name="listen", daemon=True).start()

    def _accept(self) -> None:
        while self._open:
            try:
                connected, _ = self._socket.accept()
            except OSError:  # closed, or no file descriptor is left at the moment
                time.sleep(0.1)
                continue
            arguments = (Wire(connected), self._token, self._serve)
            threading.Thread(target=_welcome, args=arguments, daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more. Idempotent."""
        self._open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _welcome(wire: Wire, token: bytes, serve: Callable[..., None]) -> None:
    try:
        wire.prove(token, first=True)
        wire.patience(PROOF_SECONDS)
        theirs, purpose, *about = wire.receive()
        wire.patience(0)
        wire.send(versions())
        if theirs == versions():
            serve(wire, purpose, *about)
    except Lost:
        pass  # the other end tells its user
    finally:
        wire.close()


def versions() -> str:
    """What both ends must have alike."""
    return f"r1kit {__version__} on Python {sys.version_info.major}.{sys.version_info.minor}"
