"""From an application to an address: where it is bound, what is printed, how it ends."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_urlsafe
from urllib.parse import quote

import uvicorn

from r1kit.errors import InputError
from r1kit.files import open_files
from r1kit.web.guard import Guard, Rules

__all__ = ["CONNECTIONS", "HERE", "bind", "is_loopback", "listen", "room_for", "rules_for"]

HERE = "127.0.0.1"
TRIED = 50
"""Ports that are looked at after the wished one."""
CONNECTIONS = 512
"""Open ones past which a page's server sends visitors away."""
OTHER_FILES = 128
"""Descriptors that are left for everything but connections."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def rules_for(host: str = HERE, *, token: str = "", **more: object) -> Rules:
    """Who is let in at an address: on this machine anybody who sits at it, elsewhere who holds a token.

    Args:
        token: the user's own, also for this machine; empty: none here, a fresh one elsewhere.
        more: further fields of ``Rules``.
    """
    names = {"localhost", host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()} - {""}
    shown = token or ("" if is_loopback(host) else token_urlsafe(24))
    return Rules(hosts=frozenset(names), token=shown, **more)  # type: ignore[arg-type]


def bind(host: str, port: int | None, wished: int) -> socket.socket:
    """A listening socket.

    Args:
        port: as the user asked; None: ``wished``, or the next free one after it.

    Raises:
        InputError: the port is taken (the line offers the next free one), or the address cannot be bound.
    """
    first = wished if port is None else port
    try:
        return _bound(host, first)
    except OSError as error:
        reason = (error.strerror or str(error)).split(" (")[0]
        if error.errno == errno.EADDRINUSE:
            return _next_free(host, port, first, reason)
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InputError(
                f"--port {first} on {host}: {reason}; those below 1024 are the administrator's: name a higher one"
            ) from None
        raise InputError(
            f"--host {host}: {reason}; give an address of this machine, as `hostname -I` lists them, or leave it out"
        ) from None


def _next_free(host: str, port: int | None, taken: int, reason: str) -> socket.socket:
    """The first free port after a taken one, or, where the user asked for that one, the error that offers it."""
    for other in range(taken + 1, min(taken + TRIED, 65536)):
        try:
            found = _bound(host, other)
        except OSError:
            continue
        if port is None:
            return found
        found.close()
        raise InputError(f"--port {port} on {host}: {reason}; {other} is free: --port {other}")
    raise InputError(f"--port {taken} on {host}: {reason}, and so are those after it; name another --port")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


class _Server(uvicorn.Server):
    """Ctrl-C, a polite kill and a terminal that closes end it with exit code 0: stopping a server is no failure. What
    it was started to ignore (``nohup``) stays ignored."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        heard = [number for number in every if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line is worth telling: that a request was cut when the server ended is told without its traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def room_for(connections: int) -> int:
    """How many of these this process can hold open; its soft limit of descriptors is raised where that is allowed."""
    return max(1, open_files(connections + OTHER_FILES) - OTHER_FILES)


def listen(app: Guard, bound: socket.socket, *, what: str, rules: Rules, connections: int = CONNECTIONS) -> None:
    """Serve until Ctrl-C.

    Args:
        what: what stands there, for the line that tells the address.
        connections: open ones, idle ones too, past which a request is answered with 503.
    """
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    query = f"?token={quote(rules.token, safe='')}" if rules.token else ""
    print(f"{what}: http://{shown}:{port}/{query}  (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, date_header=False, lifespan="auto",
        timeout_graceful_shutdown=3, timeout_keep_alive=30, h11_max_incomplete_event_size=65536,
    )  # fmt: skip
    logging.getLogger("uvicorn.error").addFilter(_is_news)  # behind the settings that Config makes
    server, most = _Server(config), room_for(connections)
    app.is_full = lambda: len(server.server_state.connections) > most
    with bound:
        server.run(sockets=[bound])
