"""Hosts on one machine, for tests of many: each is a set of Linux namespaces joined to the others by a virtual switch.

A host has its own network (one address, one link), process ids, mounts, /dev/shm and name, by which the others reach
it. Nothing is made outside of them: the switch is a network namespace too, so all is gone when the processes that hold
them are, also when the test was killed. Needs root, ``unshare``, ``nsenter``, ``setpriv`` (util-linux), ``ip`` and
``tc`` (iproute2).

    with Network() as network:
        one, two = network.add("one"), network.add("two")
        process = one.start(["python", "-m", "..."], log=tmp_path / "one.log")
        two.cut()       # its link; heal() joins it again
        two.kill()      # as when its power goes: nobody is told; boot() makes it anew, under the same address
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest

__all__ = ["ON_HOSTS", "Host", "Network", "on_hosts", "unavailable"]

TOOLS = ("unshare", "nsenter", "setpriv", "ip", "tc", "mount")
CGROUPS = Path("/sys/fs/cgroup")
HOLD = "2000000001"
"""Seconds that a host's first process sleeps; by this its sleep is told from a program's."""
_count = itertools.count(1)


def unavailable() -> str:
    """Why hosts cannot be made here; empty: they can."""
    if sys.platform != "linux":
        return "hosts are made of Linux namespaces"
    if os.geteuid() != 0:
        return "hosts are made of namespaces and need root"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} missing; apt-get install iproute2 util-linux"
    tried = subprocess.run(["unshare", "-n", "-m", "-p", "-f", "true"], capture_output=True, text=True)
    return f"namespaces cannot be made: {tried.stderr.strip()}" if tried.returncode else ""


def on_hosts(test: Callable[..., None]) -> Callable[..., None]:
    """Mark one test."""
    for mark in ON_HOSTS:
        test = mark(test)
    return test


ON_HOSTS = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "hosts can be made here"),
]
"""Marks of a module whose tests are on hosts."""


class Network:
    """A switch, and the hosts at it: 10.77.0.1, 10.77.0.2 ..."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="r1-hosts-"))
        self.switch = _Namespaces(["-n"], "ip link add switch type bridge && ip link set switch up")

    def add(self, name: str) -> Host:
        """A new host, booted."""
        host = self.hosts[name] = Host(self, name, len(self.hosts) + 1)
        for each in self.hosts.values():
            others = "".join(f"{other.address} {other.name}\n" for other in self.hosts.values() if other is not each)
            each.names.write_text(f"127.0.0.1 localhost\n127.0.1.1 {each.name}\n{others}")
        host.boot()
        return host

    def close(self) -> None:
        """End every host and all that runs on them."""
        for host in self.hosts.values():
            host.kill()
        self.switch.end()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Host:
    """One host. Files are those of the machine, but for /dev/shm, /etc/hosts and what ``hide`` took away."""

    def __init__(self, network: Network, name: str, number: int) -> None:
        self.network, self.name, self.number = network, name, number
        self.address = f"10.77.0.{number}"
        self.port = f"port{number}"
        """The switch's end of its link."""
        self.names = network.folder / name
        """Its /etc/hosts: the others' names, and its own as Debian has it, which is no address to be reached at."""
        self.inside: _Namespaces | None = None
        self.cgroups: dict[str, Path] = {}
        self.started: list[subprocess.Popen[bytes]] = []

    # ---- on and off -----------------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        return self.inside is not None

    def boot(self) -> None:
        """Switch it on: no process of before is there, what was hidden is seen again, the link is whole."""
        assert not self.on, f"{self.name} is on"
        self.inside = _Namespaces(
            ["-n", "-m", "-u", "-i", "-p", "-f", "--kill-child", "--mount-proc"],
            f"mount -t tmpfs tmpfs /dev/shm && mount --bind {self.names} /etc/hosts && hostname {self.name} && "
            "ip link set lo up",
        )
        holder = str(self.inside.pid)
        self._switch("ip", "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", holder)
        self._switch("ip", "link", "set", self.port, "master", "switch", "up")
        self.run(["ip", "addr", "add", f"{self.address}/24", "dev", "eth0"])
        self.run(["ip", "link", "set", "eth0", "up"])

    def kill(self) -> None:
        """As when its power goes: all its processes end at once, and no connection is closed: nobody is told."""
        if self.inside is None:
            return
        self.cut()
        self._switch("ip", "link", "del", self.port)
        self.inside.end()
        self.inside = None
        self._go_on()
        for process in self.started:
            process.wait(10)
        self.started = []
        for path in self.cgroups.values():
            _remove(path)
        self.cgroups = {}

    # ---- processes ------------------------------------------------------------------------------------------------

    def start(
        self, command: Sequence[str], log: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program; stdout and stderr are added to ``log``. The exit code is the program's."""
        assert self.inside is not None, f"{self.name} is off"
        within = self.inside.within("-n", "-m", "-u", "-i", "-p", "--", *command)
        if self.cgroups:
            enter = "".join(f"echo $$ > {path}/cgroup.procs && " for path in self.cgroups.values())
            within = ["sh", "-c", f'{enter}exec "$@"', "sh", *within]
        with (log or Path(os.devnull)).open("ab") as out:
            self.started.append(
                subprocess.Popen(
                    within, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
                )
            )
        return self.started[-1]

    def run(self, command: Sequence[str], timeout: float = 60.0) -> str:
        """A short program's output.

        Raises:
            RuntimeError: it failed.
        """
        assert self.inside is not None, f"{self.name} is off"
        return _run(self.inside.within("-n", "-m", "-u", "-i", "-p", "--", *command), timeout)

    def processes(self) -> list[int]:
        """Ids, as the machine sees them, of all that runs here but its first process."""
        assert self.inside is not None, f"{self.name} is off"
        mine = os.readlink(f"/proc/{self.inside.pid}/ns/pid")
        found: dict[int, None] = {}
        waiting = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _link(path / "ns/pid") == mine]
        while waiting:  # what made a namespace of its own, as the sandbox does, is found by its parent
            pid = waiting.pop()
            if pid not in found:
                found[pid] = None
                waiting += children(pid)
        return [pid for pid in found if pid != self.inside.pid and not _holds(pid)]

    def running(self, word: str) -> list[int]:
        """Processes with such a word on their command line."""
        found = []
        for pid in self.processes():
            with suppress(OSError):  # it ended while we looked
                if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def tell(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to a program that ``start`` started, not to what it started itself."""
        for pid in children(process.pid):
            os.kill(pid, number)

    def end_all(self, number: signal.Signals = signal.SIGKILL) -> None:
        """A signal to every process; the host stays on, so peers are told of closed connections."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self) -> None:
        """Stop every process where it stands; connections stay open."""
        stopped: set[int] = set()
        while found := set(self.processes()) - stopped:
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= found

    def thaw(self) -> None:
        """Let them go on."""
        self.end_all(signal.SIGCONT)
        self._go_on()

    def _go_on(self) -> None:
        """``nsenter`` stops with its program, but does not go on with it."""
        for process in self.started:
            process.send_signal(signal.SIGCONT)

    # ---- its link -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Pull its cable: nothing comes or goes, nobody is told."""
        self._switch("ip", "link", "set", self.port, "down")

    def heal(self) -> None:
        """Put it back."""
        self._switch("ip", "link", "set", self.port, "up")

    def slow_link(self, megabits: float = 0.0) -> None:
        """Let at most so many megabits a second out of it and in; 0: as many as it can."""
        shape = ["tbf", "rate", f"{megabits}mbit", "burst", "64kb", "latency", "500ms"]
        if megabits:
            self._switch("tc", "qdisc", "replace", "dev", self.port, "root", *shape)
            self.run(["tc", "qdisc", "replace", "dev", "eth0", "root", *shape])
        else:
            self._switch("tc", "qdisc", "del", "dev", self.port, "root")
            self.run(["tc", "qdisc", "del", "dev", "eth0", "root"])

    # ---- what it has ----------------------------------------------------------------------------------------------

    def limit_memory(self, megabytes: int) -> None:
        """What is started from now on may take so much memory together; the kernel kills one that wants more."""
        path = self._cgroup("memory")
        v2 = (path / "memory.max").exists()
        (path / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(megabytes << 20))
        swap = path / ("memory.swap.max" if v2 else "memory.memsw.limit_in_bytes")
        if swap.exists():
            swap.write_text("0" if v2 else str(megabytes << 20))

    def slow_cpu(self, cores: float) -> None:
        """What is started from now on has at most so many cores' time together."""
        path, period = self._cgroup("cpu"), 100_000
        if (path / "cpu.max").exists():
            (path / "cpu.max").write_text(f"{int(cores * period)} {period}")
        else:
            (path / "cpu.cfs_period_us").write_text(str(period))
            (path / "cpu.cfs_quota_us").write_text(str(int(cores * period)))

    def hide(self, path: Path) -> None:
        """Show an empty folder there, to what runs here."""
        self.run(["mount", "-t", "tmpfs", "tmpfs", str(path)])

    def _cgroup(self, controller: str) -> Path:
        """A group for this host's processes under one controller, of version 1 or 2."""
        v1 = CGROUPS / controller
        parent = v1 if v1.is_dir() else CGROUPS
        key = controller if v1.is_dir() else ""
        if key not in self.cgroups:
            path = parent / f"r1-{os.getpid()}-{self.name}-{next(_count)}"
            path.mkdir()
            self.cgroups[key] = path
        if not key:
            with suppress(OSError):
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        return self.cgroups[key]

    def _switch(self, *command: str) -> None:
        _run(self.network.switch.within("-n", "--", *command))


class _Namespaces:
    """Namespaces, and the one process that holds them; that of a host reaps, as a first process has to."""

    def __init__(self, kinds: Sequence[str], ready: str) -> None:
        reaps = "-f" in kinds
        hold = f"while :; do sleep {HOLD}; done" if reaps else f"exec sleep {HOLD}"
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *kinds, "sh", "-c", f"{ready} && echo ready && {hold}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        out, err = self.process.stdout, self.process.stderr
        assert out is not None
        assert err is not None
        if out.readline() != "ready\n":
            raise RuntimeError(f"namespaces could not be made: {err.read().strip()}")
        out.close()
        err.close()
        self.pid = children(self.process.pid)[0] if reaps else self.process.pid

    def within(self, *rest: str) -> list[str]:
        """The command that runs something inside of them."""
        return ["nsenter", "-t", str(self.pid), *rest]

    def end(self) -> None:
        """Kill what holds them, and with a process-id namespace all that is in it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


def children(pid: int) -> list[int]:
    """Processes that a process started and that are there."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def _holds(pid: int) -> bool:
    with suppress(OSError):
        return HOLD.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2]
    return False


def _link(path: Path) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ""


def _run(command: Sequence[str], timeout: float = 60.0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _remove(path: Path) -> None:
    """A cgroup goes once its last process is reaped."""
    for _ in range(200):
        with suppress(OSError):
            path.rmdir()
            return
        time.sleep(0.01)
