"""Connections: who may, what comes through, and how each end hears that the other is gone."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from r1kit.cluster import directory as module
from r1kit.cluster import link as links
from r1kit.cluster import wire as wires
from r1kit.cluster.directory import Directory, where
from r1kit.cluster.link import Link
from r1kit.cluster.wire import Listener, Lost, Wire, dial
from r1kit.errors import InputError, MissingError

KEY = b"a token"
Serve = Callable[..., None]


@pytest.fixture
def listening() -> Iterator[Callable[[Serve], tuple[str, int]]]:
    made: list[Listener] = []

    def listen(serve: Serve) -> tuple[str, int]:
        made.append(Listener("127.0.0.1", KEY, serve))
        return "127.0.0.1", made[-1].port

    yield listen
    for each in made:
        each.close()


def echo(wire: Wire, purpose: str, *about: Any) -> None:
    wire.send(purpose, *about)
    while True:
        (size,) = wire.receive()
        data = bytearray(size)
        wire.receive_raw(memoryview(data))
        wire.send_raw(memoryview(data[::-1]))


def test_messages_and_bytes_go_both_ways(listening: Callable[[Serve], tuple[str, int]]) -> None:
    wire = dial(listening(echo), KEY, "echo", 1, "two")
    assert wire.receive() == ("echo", 1, "two")
    for data in (b"abc", b"", os.urandom(1 << 20)):
        wire.send(len(data))
        wire.send_raw(memoryview(data))
        back = bytearray(len(data))
        wire.receive_raw(memoryview(back))
        assert bytes(back) == data[::-1]
    wire.close()
    wire.close()


def test_without_the_token_nothing_is_served(listening: Callable[[Serve], tuple[str, int]]) -> None:
    served: list[str] = []
    address = listening(lambda wire, purpose: served.append(purpose))
    with pytest.raises(Lost, match="it does not know this run's token"):
        dial(address, b"another", "x")
    assert served == []
    dial(address, KEY, "y").close()
    deadline = time.monotonic() + 10
    while not served and time.monotonic() < deadline:
        time.sleep(0.01)
    assert served == ["y"]


def test_whoever_says_nothing_does_not_keep_others_waiting(listening: Callable[[Serve], tuple[str, int]]) -> None:
    address = listening(echo)
    with socket.create_connection(address), socket.create_connection(address):
        assert dial(address, KEY, "echo").receive() == ("echo",)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
    with pytest.raises(Lost, match=rf"nothing answers at 127.0.0.1:{address[1]} \(Connection refused\)"):
        dial(address, KEY, "x")
    monkeypatch.setattr(wires, "PROOF_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Lost, match="it does not answer"):
        dial(silent.getsockname(), KEY, "x")


def test_another_version_is_refused_in_one_line(
    listening: Callable[[Serve], tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, told = listening(echo), iter(["r1kit 9 on Python 3.99"])
    true = wires.versions()
    monkeypatch.setattr(wires, "versions", lambda: next(told, true))  # the caller's first word
    with pytest.raises(Lost):  # whoever listens closes it
        dial(address, KEY, "x").receive()
    told = iter([true, "r1kit 9 on Python 3.99"])
    with pytest.raises(InputError, match=r"runs r1kit 9 on Python 3.99, this process r1kit .*; install"):
        dial(address, KEY, "x")


def test_cutting_a_connection_wakes_whoever_waits(listening: Callable[[Serve], tuple[str, int]]) -> None:
    wire = dial(listening(lambda wire, purpose: time.sleep(60)), KEY, "x")
    said: list[str] = []

    def wait() -> None:
        try:
            wire.receive()
        except Lost as lost:
            said.append(str(lost))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    wire.cut()
    thread.join(10)
    assert said == ["it closed the connection"]


# ---- a link ----------------------------------------------------------------------------------------------------------


class Helper:
    """Doubles numbers, and does what the request says."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.payloads: list[bytes] = []
        self.silent = threading.Event()

    def serve(self, wire: Wire, purpose: str, key: str, client: str) -> None:
        if purpose == "heart":
            while True:
                wire.receive()
                if self.silent.is_set():
                    time.sleep(60)
                wire.send({"at": key})
        if key not in self.open:
            wire.send("unknown")
            (payload,) = wire.receive()
            if payload == b"bad":
                wire.send("refused", 3, "no package here")
                return
            self.payloads.append(payload)
            self.open.add(key)
        wire.send("open")
        while True:
            number, what, *rest = wire.receive()
            if what == "double":
                for place, value in enumerate(rest):
                    wire.send(number, "told", place, 2 * value)
                wire.send(number, "done")
            elif what == "refuse":
                wire.send(number, "refused", 2, "a wrong request")
            elif what == "lose":
                wire.send(number, "lost", "not here")
            elif what == "close":
                return


@pytest.fixture
def linked(
    listening: Callable[[Serve], tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Helper, Link]]:
    monkeypatch.setattr(links, "token", lambda: KEY)
    helper = Helper()
    address = listening(helper.serve)

    def make(payload: bytes = b"made of this") -> tuple[Helper, Link]:
        return helper, Link(address, "double", "a key", payload, 0.02, 0.3)

    return make


def test_requests_and_answers_of_several_threads(linked: Callable[..., tuple[Helper, Link]]) -> None:
    helper, link = linked()
    found: SimpleQueue[list[Any]] = SimpleQueue()
    for base in range(8):
        threading.Thread(target=lambda base=base: found.put([base, *link.ask("double", base, base + 1)])).start()  # type: ignore[misc]
    assert sorted(found.get(timeout=10) for _ in range(8)) == [
        [base, [0, 2 * base], [1, 2 * base + 2]] for base in range(8)
    ]
    assert link.look() == {"at": "a key"}
    with pytest.raises(InputError, match="a wrong request"):
        list(link.ask("refuse"))
    with pytest.raises(Lost, match="not here"):
        list(link.ask("lose"))
    assert list(link.ask("double", 4)) == [[0, 8]]
    linked()
    assert helper.payloads == [b"made of this"]  # by the first who came
    link.close()
    with pytest.raises(Lost, match="it was closed"):
        list(link.ask("double", 4))


def test_what_cannot_be_opened_is_told(linked: Callable[..., tuple[Helper, Link]]) -> None:
    with pytest.raises(MissingError, match="no package here"):
        linked(b"bad")


@pytest.mark.parametrize(
    ("fault", "why"), [("close", "it closed the connection"), ("silence", "no sign of life for 0.3 s")]
)
def test_whoever_waits_hears_that_the_helper_is_gone(
    linked: Callable[..., tuple[Helper, Link]], fault: str, why: str
) -> None:
    helper, link = linked()
    if fault == "silence":
        helper.silent.set()
    with pytest.raises(Lost, match=why):
        list(link.ask("close" if fault == "close" else "never answered"))
    assert link.broken == why


# ---- the directory ---------------------------------------------------------------------------------------------------


def test_where_helpers_are(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory("127.0.0.1", KEY)
    monkeypatch.setenv(module.DIRECTORY, f"127.0.0.1:{directory.address[1]}")
    monkeypatch.setenv(module.TOKEN, KEY.decode())
    assert where("engine 0") is None
    assert directory.silent("engine 0", 0) == 0.0
    first = dial(directory.address, KEY, "here", "engine 0", 0, ("10.0.0.1", 7))
    assert first.receive() == (True,)
    assert where("engine 0") == ("10.0.0.1", 7)
    second = dial(directory.address, KEY, "here", "engine 0", 1, ("10.0.0.2", 8))
    assert second.receive() == (True,)
    assert where("engine 0") == ("10.0.0.2", 8)
    first.send("alive")
    assert first.receive() == (False,)  # another was started in its place
    assert where("engine 0") == ("10.0.0.2", 8)
    time.sleep(0.05)
    assert directory.silent("engine 0", 1) >= 0.05
    assert directory.silent("engine 0", 2) == 0.0
    second.send("alive")
    assert second.receive() == (True,)
    assert directory.silent("engine 0", 1) < 0.05
    directory.forget("engine 0")
    assert where("engine 0") is None
    directory.close()
    with pytest.raises(Lost):
        where("engine 0")
