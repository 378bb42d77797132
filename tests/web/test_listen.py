"""Ports that are taken, addresses that are not ours, and how a server ends."""

from __future__ import annotations

import errno
import json
import re
import resource
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from urllib.parse import unquote
from urllib.request import urlopen

import pytest

from r1kit.errors import InputError
from r1kit.web.listen import bind, is_loopback, room_for, rules_for

PROGRAM = """
from r1kit.web.listen import bind, listen, rules_for
from r1kit.web.site import site
rules = rules_for()
listen(site([], name="x", rules=rules), bind("127.0.0.1", 0, 0), what="a page", rules=rules)
"""

KEY = "a+b & c#d%e"
CROWDED = f"""
from r1kit.web.listen import bind, listen, rules_for
from r1kit.web.site import site
rules = rules_for(token={KEY!r}, open_paths=("/v1/",), free_paths=("/static/base.css",))
listen(site([], name="x", rules=rules), bind("127.0.0.1", 0, 0), what="a page", rules=rules, connections=4)
"""

HELD = """
import asyncio
from starlette.responses import StreamingResponse
from starlette.routing import Route
from r1kit.web.listen import bind, listen, rules_for
from r1kit.web.site import site

async def answer(request):
    async def pieces():
        yield "begun"
        await asyncio.sleep(600)
    return StreamingResponse(pieces())

rules = rules_for()
listen(site([Route("/", answer)], name="x", rules=rules), bind("127.0.0.1", 0, 0), what="a page", rules=rules)
"""


def test_a_taken_port_offers_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port} on 127.0.0.1: .*in use; (\d+) is free: --port \1"):
            bind("127.0.0.1", port, 1)
        with bind("127.0.0.1", None, port) as found:
            assert port < found.getsockname()[1] <= port + 50


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(InputError, match=f"--host {host}: .*an address of this machine"):
        bind(host, None, 20000)


def test_an_unknown_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def unknown(address: tuple[str, int], **more: object) -> socket.socket:
        asked.append(address)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_server", unknown)
    with pytest.raises(InputError, match=r"--host no\.such\.host: Name or service not known; give an address of this"):
        bind("no.such.host", None, 20000)
    assert asked == [("no.such.host", 20000)]


def test_a_port_that_is_not_the_users_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*address: object, **more: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refused)
    with pytest.raises(InputError, match=r"--port 80 on 127.0.0.1: Permission denied; .*name a higher one"):
        bind("127.0.0.1", 80, 8000)


def test_no_port_is_left_after_the_last() -> None:
    with socket.create_server(("127.0.0.1", 65535)), pytest.raises(InputError, match="name another --port"):
        bind("127.0.0.1", 65535, 8000)


def test_only_this_machine_needs_no_token() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "a.example")] == [False] * 4
    assert rules_for().token == ""
    assert rules_for(token="mine").token == "mine"
    assert rules_for("0.0.0.0").token != rules_for("0.0.0.0").token


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_says_where_and_ends_politely(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = server.stdout.readline()
            found = re.fullmatch(r"a page: (http://127\.0\.0\.1:\d+/)  \(Ctrl-C ends it\)\n", told)
            assert found
            with urlopen(found[1] + "static/base.css") as answer:
                assert answer.status == 200
            server.send_signal(how)
            assert server.wait(20) == 0
        finally:
            server.kill()


def test_an_answer_that_is_cut_by_the_end_is_no_traceback() -> None:
    """Ctrl-C while a long answer is written: it has some seconds, then the server ends without it."""
    command = [sys.executable, "-c", HELD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://[^ ]+", server.stdout.readline())
        assert found is not None
        with urlopen(found[0]) as answer:
            assert answer.read(5) == b"begun"
            server.send_signal(signal.SIGINT)
            _, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1


def test_the_printed_key_opens_and_past_its_connections_it_says_so_in_json() -> None:
    """Idle connections count; what needs no key is answered still; where some have gone all is well again."""
    with subprocess.Popen([sys.executable, "-c", CROWDED], stdout=subprocess.PIPE, text=True) as server:
        held: list[HTTPConnection] = []
        try:
            assert server.stdout is not None
            found = re.search(r"http://(127\.0\.0\.1:\d+)/\?token=(\S+)  ", server.stdout.readline())
            assert found
            assert unquote(found[2]) == KEY

            def asked(path: str) -> tuple[int, str | None, bytes]:
                one = HTTPConnection(found[1], timeout=20)
                held.append(one)
                one.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
                answer = one.getresponse()
                return answer.status, answer.headers["Retry-After"], answer.read()

            assert [asked("/session")[0] for _ in range(4)] == [200] * 4
            status, again, content = asked("/v1/models")
            assert (status, again) == (503, "1")
            assert json.loads(content)["error"]["code"] == "server_busy"
            assert asked("/static/base.css")[0] == 200
            for one in held:
                one.close()
            assert asked("/session")[0] == 200
        finally:
            for one in held:
                one.close()
            server.terminate()
            server.wait(20)


@pytest.mark.parametrize(("limits", "room", "raised"), [
    ((1024, 4096), 2000, [2128]), ((1024, 1024), 896, []), ((1024, 1500), 1372, [1500]), ((64, 64), 1, []),
    ((1 << 20, 1 << 20), 2000, []),
])  # fmt: skip
def test_connections_leave_descriptors_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], room: int, raised: list[int]
) -> None:
    told: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: told.append(values[0]))
    assert room_for(2000) == room
    assert [one for one in told if one != limits[0]] == raised
