"""The hosts that other tests are run on behave like hosts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.hosts import ON_HOSTS, Host, Network

pytestmark = ON_HOSTS

SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7000))
while True:
    peer, _ = server.accept()
    peer.sendall(b"hello")
    peer.close()
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=1) as server:
    print(server.recv(9).decode())
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hears(host: Host, address: str) -> bool:
    try:
        return host.run([sys.executable, "-c", CLIENT, address]) == "hello\n"
    except RuntimeError:
        return False


def test_two_hosts_talk_until_the_link_is_cut(network: Network) -> None:
    one, two = network.add("one"), network.add("two")
    one.start([sys.executable, "-c", SERVER, one.address])
    until(lambda: hears(two, one.address))
    one.cut()
    assert not hears(two, one.address)
    one.heal()
    until(lambda: hears(two, one.address))
    assert (one.run(["hostname"]), two.run(["hostname"])) == ("one\n", "two\n")


def test_a_killed_host_has_no_processes_and_boots_anew(network: Network) -> None:
    one = network.add("one")
    process = one.start(["sh", "-c", "sleep 1000 & sleep 1000"])
    until(lambda: len(one.processes()) == 3)
    pids = one.processes()
    one.kill()
    assert process.wait(5) == -signal.SIGKILL
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    one.boot()
    assert one.processes() == []


def test_a_frozen_host_stands_still(network: Network, tmp_path: Path) -> None:
    one, ticks = network.add("one"), tmp_path / "ticks"
    one.start(["sh", "-c", "while :; do echo tick; sleep 0.02; done"], log=ticks)
    until(lambda: ticks.stat().st_size > 0)
    one.freeze()
    stood = ticks.stat().st_size
    time.sleep(0.2)
    assert ticks.stat().st_size == stood
    one.thaw()
    until(lambda: ticks.stat().st_size > stood)


def test_a_path_can_be_hidden_from_one_host(network: Network, tmp_path: Path) -> None:
    one, two = network.add("one"), network.add("two")
    (tmp_path / "shared").write_text("here")
    two.hide(tmp_path)
    assert one.run(["cat", str(tmp_path / "shared")]) == "here"
    with pytest.raises(RuntimeError, match="No such file"):
        two.run(["cat", str(tmp_path / "shared")])


def test_a_program_that_takes_too_much_memory_is_killed(network: Network) -> None:
    one = network.add("one")
    try:
        one.limit_memory(100)
    except OSError as error:
        pytest.skip(f"memory cannot be limited here: {error}")
    process = one.start([sys.executable, "-c", "len(bytearray(300_000_000))"])
    assert process.wait(20) == -signal.SIGKILL
    assert one.start([sys.executable, "-c", "len(bytearray(30_000_000))"]).wait(20) == 0


def test_nothing_is_left_when_the_test_is_killed() -> None:
    script = (
        "import time\n"
        "from cluster.hosts import Network\n"
        "one = Network().add('one')\n"
        "one.start(['sleep', '1000'])\n"
        "while not one.processes(): time.sleep(0.01)\n"
        "print(*one.processes(), one.inside.pid, one.network.switch.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    tests = Path(__file__).parent.parent
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tests)
    assert process.stdout is not None
    pids = process.stdout.readline().split()
    process.stdout.close()
    process.kill()
    process.wait()
    assert len(pids) == 3
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
