"""Joining a Ray cluster, or starting one of this machine alone; what can be wrong with that, in one line each."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from r1kit.cluster.cores import cores
from r1kit.cluster.ray.cluster import Cluster
from r1kit.errors import InputError, MissingError, R1Error, first_line

__all__ = ["AUTO", "LOCAL", "Quiet", "connect", "why_ended"]

AUTO, LOCAL = "auto", "local"
STORE_BYTES = 80_000_000
"""Of the object store of a cluster that we start: nothing of ours lies there."""
ANSWER_SECONDS = 20.0
"""How long a head may take to greet."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What HTTP/2, and so gRPC, begins with; the server's first frame is of the same kind, 4 (RFC 9113, section 3.4)."""
_ADDRESS = re.compile(r"(?:ray://)?(?:[A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")


def connect(address: str, cpus: int = 0) -> Cluster:
    """Join a cluster, as one of its hosts.

    Args:
        address: ``HOST:PORT`` of its head; ``auto``: the one that this machine is in, else one of this machine alone,
            for as long as this process lives.
        cpus: that such a one must have at the least.

    Raises:
        InputError: no address, or nothing listens there.
        MissingError: Ray is not here, or another version, or this machine is not in the cluster, or it has no token.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's own rule from its next version on
    named = address not in (AUTO, LOCAL)
    if named and not (_ADDRESS.fullmatch(address) and int(address.rpartition(":")[2]) < 1 << 16):
        raise InputError(f"--cluster {address}: must be auto, or the HOST:PORT of a Ray head")
    if address.startswith("ray://"):
        raise InputError(
            f"--cluster {address}: Ray Client is not supported; join this machine to the cluster with ray start "
            f"--address=HOST:6379 and give that address"
        )
    try:
        import ray
    except ImportError:
        raise MissingError("--cluster needs Ray; install it with: pip install 'r1kit[ray]'") from None
    if named:
        _listens(address)
    found = _found(address)
    shown = found or "this machine"
    common: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    heeded = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        if found:
            from ray._raylet import GcsClient

            GcsClient(
                address=found
            )  # says at once what ``init`` goes on trying for half a minute and then does not say
            ray.init(address=found, **common)
        else:
            _start_alone(max(cores(), cpus), common)
    except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and errors of its own
        raise _why_not(error, shown) from None
    for number, handler in heeded.items():  # Ray puts its own in their place
        signal.signal(number, handler)
    return Cluster(found)


def why_ended(address: str, said: str) -> str:
    """The line of a run whose process that had joined the cluster has ended without a word of its own: Ray ends it,
    with exit code 1, where the head or Ray's part on this host is gone.

    Args:
        said: the line as far as it is known.
    """
    host, _, port = _named(address).rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return (
            f"the head of the Ray cluster at {_named(address)} was lost, and the run was ended; start the cluster "
            "again and run the same command to go on"
        )
    lost = "Ray ended the run's process: the cluster's head, or Ray's part on this host, was lost"
    return f"{lost}; run the same command to go on" if "exit code 1 " in said else said


def _named(address: str) -> str:
    """The head's address as it is written down: given, in ``RAY_ADDRESS``, or by the last ``ray start`` on this
    machine. Clusters that other programs have started for themselves are theirs."""
    if address not in (AUTO, LOCAL):
        return address
    given = LOCAL if address == LOCAL else os.environ.get("RAY_ADDRESS", "")
    if given in ("", AUTO):
        with suppress(OSError):
            given = Path("/tmp/ray/ray_current_cluster").read_text(encoding="ascii").strip()
    return "" if given in (AUTO, LOCAL) else given


def _found(address: str) -> str:
    """The cluster to join; empty: none, so this machine alone.

    Raises:
        InputError: nothing listens where ``RAY_ADDRESS`` says.
    """
    found = _named(address)
    if address == AUTO and found:
        given = os.environ.get("RAY_ADDRESS") == found
        if not given and not _is_in(found):
            return ""  # what was written down has ended
        try:
            _listens(found)
        except InputError as error:
            where = "RAY_ADDRESS" if given else "--cluster auto"
            raise InputError(f"{where}: {str(error).removeprefix('--cluster ')}") from None
    return found


def _start_alone(cpus: int, common: Mapping[str, Any]) -> None:
    """On a busy machine Ray's helpers may miss its own time limit once. Nobody is ended for want of memory that would
    not be without Ray."""
    import ray

    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # before ray is imported

    for last in (False, True):
        try:
            ray.init(address=LOCAL, num_cpus=cpus, object_store_memory=STORE_BYTES, include_dashboard=False, **common)
            return
        except Exception:
            if last:
                raise
            with suppress(Exception):
                ray.shutdown()


def _listens(address: str) -> None:
    host, _, port = address.rpartition(":")
    do = f"start a head with ray start --head --port={port}, or give the address that it printed"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as there:
            there.settimeout(ANSWER_SECONDS)
            greets = os.environ.get("RAY_USE_TLS") == "1" or _greets(there)
    except OSError as error:
        why = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"--cluster {address}: nothing listens there ({why}); {do}") from None
    if not greets:
        raise InputError(f"--cluster {address}: what listens there is not the head of a Ray cluster; {do}")


def _is_in(address: str) -> bool:
    """Whether a process of Ray's on this machine, in this network namespace, belongs to the cluster with this head."""
    mark = f"--gcs-address={address}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            if mark in (process / "cmdline").read_bytes().split(b"\0") and _same_network(process):
                return True
    return False


def _same_network(process: Path) -> bool:
    try:
        return os.readlink(process / "ns/net") == os.readlink("/proc/self/ns/net")
    except PermissionError:  # another user's
        return True


def _greets(there: socket.socket) -> bool:
    """Whether the other end speaks gRPC, as a head does; Ray itself waits for ever for one that does not."""
    with suppress(OSError):
        there.sendall(_GREETING)
        return there.recv(9, socket.MSG_WAITALL)[3:4] == _GREETING[-6:-5]
    return False


def _why_not(error: Exception, shown: str) -> R1Error:
    """One line for what Ray says in many."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return MissingError(
            f"the cluster at {shown} runs other versions: {_short(text)}; install the same on each host"
        )
    if "uthentication" in text or "AuthToken" in text or "token" in text.lower():
        return MissingError(
            f"the cluster at {shown} did not take our token ({_short(text.split('. ')[0])}); set RAY_AUTH_MODE=token "
            "and RAY_AUTH_TOKEN (or copy ~/.ray/auth_token from the head) on this machine"
        )
    if "timed out during startup" in text:
        return MissingError(f"Ray did not start on {shown} in time; is the machine very busy? ({_short(text)})")
    if "node" in text.lower() and ("ip address" in text.lower() or "raylet" in text.lower()):
        return MissingError(
            f"this machine is not in the cluster at {shown}; join it first: ray start --address={shown} "
            f"({_short(text)})"
        )
    return MissingError(f"the Ray cluster at {shown} cannot be joined: {_short(text) or type(error).__name__}")


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."


class Quiet:
    """Keeps what Ray's own threads say away from the user: stderr goes to a file meanwhile, ``user`` is the user's."""

    def __enter__(self) -> Quiet:
        sys.stderr.flush()
        self._kept = os.dup(2)
        self.user = os.fdopen(os.dup(2), "w", buffering=1)
        self.to(os.devnull)
        return self

    def to(self, path: str) -> None:
        """From now on into this file."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, 2)
        os.close(file)

    def __exit__(self, *_: object) -> None:
        sys.stderr.flush()
        os.dup2(self._kept, 2)
        os.close(self._kept)
        self.user.close()
