"""Ranks on several hosts keep a connection to rank 0 beside their collectives, and so learn two things.

Which of a host's interfaces the others reach it by: gloo takes the one that the host's own name resolves to, which on
many a host is 127.0.1.1. And that a host is gone: gloo waits for a peer that says nothing until its time-out, minutes.
The kernels ask each other whether they are there, so a rank that computes for long is never taken for lost; one that
hangs on a host that lives is left to the collectives' time-out.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from r1kit.cluster.launched import is_launched, leave
from r1kit.cluster.settings import Cluster
from r1kit.errors import PeerLostError, RankError

__all__ = ["Peers", "interface_of", "meet", "several_hosts"]

KEY = "r1kit/peers"
SETTLE_SECONDS = 3.0
"""How long a rank has to end by itself after a peer ended: what it says then is better than what is said for it."""
BYE = b"bye\n"


class Store(Protocol):
    """torch.distributed's store, as far as it is used here."""

    def set(self, key: str, value: str) -> None: ...
    def get(self, key: str) -> bytes: ...


def several_hosts() -> bool:
    """Whether there are more ranks than this host's, as torchrun and its like say."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return int(os.environ.get("LOCAL_WORLD_SIZE", size)) < size


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection."""

    rank: int
    host: str
    connection: socket.socket

    def __str__(self) -> str:
        return f"{self.host} (rank {self.rank})"


class Peers:
    """This rank's connections: rank 0's to all others, or the one to rank 0."""

    def __init__(self, rank: int, peers: list[Peer], address: str, cluster: Cluster) -> None:
        self.rank, self.cluster, self.address = rank, cluster, address
        """``address``: the one that other hosts reach this one by; empty where none could be told."""
        self._peers = peers
        self._why = ""
        self._closing, self._known = threading.Event(), threading.Event()
        for peer in peers:
            _keep_alive(peer.connection, cluster.heartbeat, cluster.lost_after)
        threading.Thread(target=self._watch, name="peers", daemon=True).start()

    def close(self) -> None:
        """Tell the others that this rank ends because it means to."""
        self._closing.set()
        self._tell(BYE)
        for peer in self._peers:
            with suppress(OSError):
                peer.connection.shutdown(socket.SHUT_WR)

    def _tell(self, line: bytes) -> None:
        for peer in self._peers:
            with suppress(OSError):
                peer.connection.sendall(line)

    def _watch(self) -> None:
        """Until every peer has said good-bye; a peer that ends without it ends this process."""
        with selectors.DefaultSelector() as waiting:
            for peer in self._peers:
                waiting.register(peer.connection, selectors.EVENT_READ, peer)
            while waiting.get_map():
                for key, _ in waiting.select():
                    if why := _read(key.data, self.cluster.lost_after):
                        self._end(why)
                    waiting.unregister(key.fileobj)

    def _end(self, why: str) -> None:
        """Tell the others why, and leave; the main thread may be deep in a collective, or about to say more."""
        self._tell(f"{why}\n".encode())
        self._why = why
        self._known.set()
        if not self._closing.wait(SETTLE_SECONDS):
            self.explain()

    def explain(self) -> None:
        """End this process with the reason why a peer is gone, said once a host or to who launched it; return where
        none is known."""
        if not self._known.wait(SETTLE_SECONDS):
            return
        if is_launched():
            leave(PeerLostError.exit_code, f"lost its peers ({self._why})")
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            print(f"r1: {self._why}; run the same command to go on", file=sys.stderr, flush=True)
        os._exit(RankError.exit_code)


def meet(store: Store, rank: int, size: int, cluster: Cluster, timeout: float = 300.0) -> Peers:
    """Connect with rank 0, or as rank 0 with all others.

    Args:
        store: that all ranks have.
        rank: of this process.
        size: ranks in all.
        cluster: rank 0's holds for all.
        timeout: seconds until the others have to be there.

    Raises:
        PeerLostError: they were not.
    """
    try:
        return _wait_for_all(store, size, cluster, timeout) if rank == 0 else _connect(store, rank, timeout)
    except (OSError, ValueError) as error:
        raise PeerLostError(f"rank 0 cannot be reached ({error})") from error


def _wait_for_all(store: Store, size: int, cluster: Cluster, timeout: float) -> Peers:
    """Rank 0's side."""
    token, found = secrets.token_hex(16), dict[int, Peer]()
    deadline = time.monotonic() + timeout
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    address = ""
    with socket.create_server(("", 0), family=family, backlog=size, dualstack_ipv6=dual) as server:
        store.set(KEY, json.dumps({"port": server.getsockname()[1], "token": token}))
        while len(found) < size - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = ", ".join(str(rank) for rank in range(1, size) if rank not in found)
                raise PeerLostError(f"no word of rank {missing} within {timeout:g} s of the start") from None
            connection.settimeout(10)
            with suppress(OSError, ValueError, KeyError):  # what is not a rank's is let go
                hello = _receive(connection)
                if secrets.compare_digest(str(hello["token"]), token):
                    found[int(hello["rank"])] = Peer(int(hello["rank"]), str(hello["host"]), connection)
                    address = address or _outer(connection)
                    continue
            connection.close()
    for peer in found.values():
        _send(peer.connection, {"address": address, "host": socket.gethostname(), "cluster": _plain(cluster)})
    return Peers(0, list(found.values()), address, cluster)


def _connect(store: Store, rank: int, timeout: float) -> Peers:
    """Another rank's side."""
    place = json.loads(store.get(KEY))
    connection = socket.create_connection((os.environ["MASTER_ADDR"], place["port"]), timeout=timeout)
    _send(connection, {"token": place["token"], "rank": rank, "host": socket.gethostname()})
    told = _receive(connection)
    cluster = Cluster(**told["cluster"])
    address = _outer(connection) or told["address"]  # on rank 0's host the connection is over loopback
    return Peers(rank, [Peer(0, told["host"], connection)], address, cluster)


def _plain(cluster: Cluster) -> dict[str, Any]:
    """What all ranks have to agree on."""
    kept = ("heartbeat", "lost_after", "collective_minutes")
    return {key: value for key, value in asdict(cluster).items() if key in kept}


def _send(connection: socket.socket, table: Mapping[str, Any]) -> None:
    connection.sendall(json.dumps(table).encode() + b"\n")


def _receive(connection: socket.socket) -> dict[str, Any]:
    """One line of JSON, at most 4 KiB; what follows it is left where it is."""
    text = b""
    while not text.endswith(b"\n"):
        if not (byte := connection.recv(1)) or len(text) > 4096:
            raise OSError("the connection was closed")
        text += byte
    return dict(json.loads(text))


def _read(peer: Peer, lost_after: float) -> str:
    """Why this process has to end, once a peer's connection has something; empty: the peer said good-bye."""
    try:
        said = b""
        while more := peer.connection.recv(4096):
            said += more
            if said.endswith(b"\n"):
                break
    except OSError as error:
        if isinstance(error, ConnectionError):
            return f"{peer} ended without a word (killed, or out of memory)"
        return f"nothing was heard from {peer} for {lost_after:g} s: the host or its network is down"
    if said == BYE:
        return ""
    return said.decode().strip() or f"{peer} ended without a word (killed, or out of memory)"


def _keep_alive(connection: socket.socket, heartbeat: float, lost_after: float) -> None:
    """The kernel asks the other end whether it is there, every ``heartbeat`` seconds, and gives up in time."""
    seconds = max(1, round(heartbeat))
    options = {
        "TCP_KEEPIDLE": seconds,
        "TCP_KEEPALIVE": seconds,  # what macOS calls the one above
        "TCP_KEEPINTVL": seconds,
        "TCP_KEEPCNT": max(1, math.ceil(lost_after / seconds) - 1),
        "TCP_USER_TIMEOUT": round(lost_after * 1000),
    }
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# ---- interfaces -------------------------------------------------------------------------------------------------


def _outer(connection: socket.socket) -> str:
    """This end's address, where it is not the loopback's."""
    address = str(connection.getsockname()[0]).removeprefix("::ffff:")
    return "" if address.startswith("127.") or address == "::1" else address


def interface_of(address: str) -> str:
    """The network interface that has an IPv4 address; empty where none has, or the system does not say."""
    if sys.platform != "linux":
        return ""
    import fcntl

    get_address = 0x8915  # SIOCGIFADDR
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has none
                found = fcntl.ioctl(probe.fileno(), get_address, struct.pack("256s", name.encode()[:15]))
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    return ""
