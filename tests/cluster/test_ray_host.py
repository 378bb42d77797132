"""The keeper of a process, and what a host says of itself; nothing of this needs Ray."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from r1kit.cluster import cores as cores_module
from r1kit.cluster.ray import connect
from r1kit.cluster.ray import host as ray_host
from r1kit.cluster.ray.host import Keeper
from r1kit.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="hosts of a cluster are Linux")


@pytest.fixture(autouse=True)
def _no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end the process of the tests."""
    monkeypatch.setattr(Keeper, "_watch_lease", lambda keeper: None)


@pytest.fixture
def keep() -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def start(program: str, lease: float = 60.0, guard: str = "", **environment: str) -> Keeper:
        made.append(Keeper(lease))
        made[-1].start(["", "-c", program], environment, "/", guard)
        return made[-1]

    yield start
    for keeper in made:
        keeper.end()
        for reader in keeper.readers:
            reader.join()
        if keeper.receive >= 0:
            os.close(keeper.receive)


def until_ended(keeper: Keeper) -> tuple[int, list[tuple[str, str]], str]:
    lines: list[tuple[str, str]] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = keeper.poll()
        lines += said["lines"]
        if said["code"] is not None:
            return said["code"], lines, said["words"]
        time.sleep(0.02)
    raise AssertionError(f"it does not end; it said {lines}")


def lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_what_it_says_comes_home_by_stream_then_its_last_words_and_code(keep: Callable[..., Keeper]) -> None:
    keeper = keep(
        "import json, os, sys\n"
        "print('one'); print('zwei ü'); sys.stdout.flush(); print('bad', file=sys.stderr)\n"
        "os.write(int(os.environ['R1KIT_WORDS']), json.dumps({'words': 'no', 'own': True}).encode())\n"
        "assert os.getppid() == int(os.environ['R1KIT_PARENT'])\n"
        "print(os.environ['MINE'], os.getcwd()); sys.exit(7)",
        MINE="told",
    )
    code, lines, words = until_ended(keeper)
    assert code == 7
    assert [line for stream, line in lines if stream == "out"] == ["one", "zwei ü", "told /"]
    assert ("err", "bad") in lines
    assert words == '{"words": "no", "own": true}'


def test_much_output_comes_in_pieces_and_whole(keep: Callable[..., Keeper]) -> None:
    """300,000 characters are five pieces of 64,000 at most, and a code comes only with the last."""
    keeper = keep("for n in range(3000): print(f'{n:0>100}')")
    for reader in keeper.readers:
        reader.join()
    assert keeper.process is not None
    keeper.process.wait()
    said = [keeper.poll() for _ in range(5)]
    assert [each["code"] for each in said] == [None] * 4 + [0]
    assert [line for each in said for _, line in each["lines"]] == [f"{n:0>100}" for n in range(3000)]
    assert all(len(each["lines"]) <= ray_host.SENT // 100 for each in said)


def test_a_signal_and_an_end(keep: Callable[..., Keeper]) -> None:
    keeper = keep("import time; time.sleep(60)")
    keeper.signal(signal.SIGTERM)
    assert until_ended(keeper)[0] == -signal.SIGTERM
    other = keep("import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()")
    while not (lines := other.poll()["lines"]):
        time.sleep(0.02)
    child = int(lines[0][1])
    other.end()
    assert until_ended(other)[0] == -signal.SIGKILL
    assert not lives(child)


def test_a_keeper_that_nobody_asks_ends_its_process_and_itself(keep: Callable[..., Keeper]) -> None:
    """In a process of its own, as it is under Ray."""
    program = (
        "import sys, time\n"
        "from r1kit.cluster.ray.host import Keeper\n"
        "keeper = Keeper(float(sys.argv[1]))\n"
        "print(keeper.start(['', '-c', 'import time; time.sleep(60)'], {}, '/', ''), flush=True)\n"
        "time.sleep(60)"
    )
    import subprocess

    command = [sys.executable, "-c", program, "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kept = int(process.stdout.readline())
        assert process.wait(30) == 0
    assert not lives(kept)


def test_only_one_process_holds_the_guard(keep: Callable[..., Keeper], tmp_path: Path) -> None:
    """A rank 0 that still ends elsewhere keeps the next one waiting, and no other process of this one holds it."""
    guard = tmp_path / ".writer"
    first = keep("import time; time.sleep(60)", guard=str(guard))
    with pytest.raises(TimeoutError, match="does not end"):
        keep("pass", lease=0.1, guard=str(guard))
    threading.Timer(0.3, first.end).start()
    assert until_ended(keep("pass", guard=str(guard)))[0] == 0
    with guard.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_sent_between_two_keepers_is_timed() -> None:
    here = Keeper(60)
    port = here.listen("127.0.0.1")
    assert Keeper(60).send_to("127.0.0.1", port, 3_000_001) > 0
    with pytest.raises(OSError, match=r"refused|reset"):
        Keeper(60).send_to("127.0.0.1", port, 1)


def test_a_host_says_what_it_has() -> None:
    said = ray_host.about("127.0.0.1", ("numpy", "surely-not-there"), dict(os.environ), "/")
    assert json.loads(json.dumps(said)) == said
    assert said["interface"] == "lo"
    assert said["versions"]["surely-not-there"] == ""
    assert said["versions"]["numpy"]
    assert said["cores"] == cores_module.cores()
    assert len(said["code"]) == 16
    assert ray_host.interface_of("203.0.113.7") == ""


def test_other_code_is_told(tmp_path: Path) -> None:
    """As a process of the run would find it: what is first on its path."""
    package = tmp_path / "r1kit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    before = ray_host.about("", (), dict(os.environ), "/")["code"]
    found = ray_host.about("", (), {**os.environ, "PYTHONPATH": str(tmp_path)}, "/")["code"]
    assert found == ray_host.code_of(str(package)) != before
    (package / "seeds.py").write_text("")
    assert ray_host.code_of(str(package)) != found
    assert ray_host.code_of("") == ""


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "data" / "rows.jsonl"
    file.parent.mkdir()
    file.write_bytes(b"a" * 300_000)
    seen = {ray_host.signature(str(file)), ray_host.signature(str(file.parent))}
    assert len(seen) == 2
    for change in (b"b" + b"a" * 299_999, b"a" * 299_999 + b"b", b"a" * 300_001):
        file.write_bytes(change)
        seen.add(ray_host.signature(str(file)))
    assert len(seen) == 5
    assert ray_host.signature(str(tmp_path / "none")) == ""
    (file.parent / ".hidden").write_text("")
    assert ray_host.signature(str(file.parent)) not in seen
    mark = tmp_path / "mark"
    mark.write_text("here")
    assert ray_host.seen(str(mark), [str(file)])["mark"] == "here"
    assert ray_host.seen(str(tmp_path / "other"), [])["mark"] == ""


def test_a_command_s_answer() -> None:
    assert ray_host.asked_of(["", "-c", "import os; print(os.environ['A'])"], {"A": "b"}, "/", 60) == (0, "b\n", "")
    assert ray_host.asked_of(["", "-c", "import time; time.sleep(60)"], {}, "/", 0.2)[0] == 124


SETTINGS_FRAME = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_listens_and_is_no_head_is_refused(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that speaks HTTP/1, or says nothing."""
    monkeypatch.setattr(connect, "ANSWER_SECONDS", 0.2)
    with answering(answer) as address, pytest.raises(InputError, match="is not the head of a Ray cluster"):
        connect._listens(address)


def test_a_head_is_one_that_greets() -> None:
    with answering(SETTINGS_FRAME) as address:
        connect._listens(address)


def test_auto_is_this_machine_where_the_cluster_that_is_written_down_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(SETTINGS_FRAME) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert connect._found("auto") == address
    with pytest.raises(InputError, match=f"^RAY_ADDRESS: {address}: nothing listens there"):
        connect._found("auto")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert connect._found("auto") == ""


def test_a_run_that_ray_ended_says_why() -> None:
    with answering(b"") as address:
        said = connect.why_ended(address, "the process ended with exit code 1 before its work was done")
        assert said.startswith("Ray ended the run's process: ")
        assert connect.why_ended(address, "the process was ended by SIGKILL") == "the process was ended by SIGKILL"
    assert connect.why_ended(address, "").startswith(f"the head of the Ray cluster at {address} was lost")


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server on this machine that says the same to everybody."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with suppress(OSError), server.accept()[0] as there:
                there.settimeout(2)
                if there.recv(100):
                    there.sendall(answer)
                    there.recv(100)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()
