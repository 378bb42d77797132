"""A client that goes away, over a real socket: its rows are free at once, and the others' text is what it was."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn
from serving.conftest import Written, served

from r1kit.commands.serve import application
from r1kit.serving.served import Served
from r1kit.web.listen import bind, rules_for

ASK = [{"role": "user", "content": "a"}]
Serving = Callable[[Served], int]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """``serving(model)`` -> the port of a server of it."""
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(model: Served) -> int:
        bound = bind("127.0.0.1", None, 20_000)
        app = application([model], rules_for(open_paths=("/v1/",), limit=100_000))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
        thread.start()
        started.append((server, thread))
        return int(bound.getsockname()[1])

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join(20)


def send(port: int, **body: Any) -> socket.socket:
    """A chat that was asked for; what comes back lies in the socket."""
    content = json.dumps({"model": "tiny", "messages": ASK, **body}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(f"{head}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
    return client


def until(true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 20
    while not true() and time.monotonic() < ends:
        time.sleep(0.005)
    return true()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_rows(serving: Serving, stream: bool) -> None:
    engine = Written("1 2 3 4 5 6", held=2)
    model = served("tiny", engine)  # type: ignore[arg-type]
    port = serving(model)
    leaves, stays = send(port, stream=stream, n=3), send(port)
    assert until(lambda: engine.running == 4)
    if stream:
        assert b"200 OK" in leaves.recv(4096)  # it was told the first words
    leaves.close()
    assert until(lambda: engine.running == 1)
    assert until(lambda: model.batcher.open == 1)
    engine.held = None
    answer = b""
    while part := stays.recv(4096):
        answer += part
    stays.close()
    assert json.loads(answer.split(b"\r\n\r\n")[1])["choices"][0]["message"]["content"] == "1 2 3 4 5 6"
    assert until(lambda: model.batcher.open == 0)


def test_a_client_that_goes_away_while_it_waits(serving: Serving) -> None:
    """Nothing was told to it yet."""
    engine = Written("1 2", held=0)
    model = served("tiny", engine)  # type: ignore[arg-type]
    client = send(serving(model), stream=True)
    assert until(lambda: engine.running == 1)
    client.close()
    assert until(lambda: engine.running == 0 and model.batcher.open == 0)


def test_a_client_that_goes_away_within_its_request(serving: Serving, capfd: pytest.CaptureFixture[str]) -> None:
    """No fault of the server: counted, and no traceback."""
    port = serving(served("tiny", Written("1")))  # type: ignore[arg-type]
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())

    def metrics() -> str:
        asked = HTTPConnection("127.0.0.1", port, timeout=20)
        asked.request("GET", "/metrics")
        with closing(asked):
            return asked.getresponse().read().decode()

    assert until(lambda: 'r1_requests_gone_total{model=""} 1' in metrics())
    assert "Traceback" not in capfd.readouterr().err
