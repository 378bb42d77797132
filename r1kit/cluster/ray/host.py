"""What runs inside Ray's workers on every host: the keeper of one process, and what a host says of itself.

The standard library alone: all of it is sent to the hosts by value, so that a host without r1kit, or with another one,
can say so.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["Keeper", "about", "asked_of", "code_of", "interface_of", "on_this_host", "seen", "signature"]

SENT = 64_000
"""Characters of output that one answer carries; more wait for the next."""
KEPT = 4_000_000
"""Characters of output that wait; what a process says beyond them is dropped, and counted."""

PLACED = 180.0
"""Seconds that a keeper waits for its process: the others may take long to stand."""
ENDS = 1 << 16
"""Bytes at the beginning and at the end of a file that are compared between hosts."""


class Keeper:
    """Starts one process of the run, says how it is, and ends it: when told, or when nobody has asked for a while.

    A keeper that dies takes its process with it (the process asks Linux for that itself), so none is left on a host
    that the run has lost.
    """

    def __init__(self, lease: float) -> None:
        self.lease = lease
        self.asked_at = time.monotonic()
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        self.lines: list[tuple[str, str]] = []
        self.size = self.dropped = 0
        self.readers: list[threading.Thread] = []
        self.receive = -1
        self.guard = -1
        self.ended_at = 0.0
        threading.Thread(target=self._watch_lease, daemon=True).start()

    def stand(self, address: str) -> dict[str, Any]:
        """Where it is: the GPUs that it was given, the network interface of ``address``, and a port that is free."""
        self.asked_at = time.monotonic()
        import ray

        with socket.socket() as probe:
            probe.bind((address, 0))
            port = probe.getsockname()[1]
        gpus = [str(each) for each in ray.get_runtime_context().get_accelerator_ids().get("GPU", [])]
        return {"gpus": gpus, "interface": interface_of(address), "port": port}

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: str, guard: str) -> int:
        """Start it; its process id.

        Args:
            command: its arguments; an empty first one stands for this host's Python.
            environment: what it needs beside what this host has.
            folder: where it works, if that is there.
            guard: a file whose lock it holds as long as it lives; empty: none. Waits for one that ends.
        """
        self.asked_at = time.monotonic()
        if guard:
            self.guard = os.open(guard, os.O_RDWR | os.O_CREAT, 0o666)
            deadline = time.monotonic() + 2 * self.lease
            while not _locked(self.guard):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{guard} is held by a process of an earlier run that does not end")
                time.sleep(0.1)
        self.receive, send = os.pipe()
        os.set_blocking(self.receive, False)
        added = {"R1KIT_PARENT": str(os.getpid()), "R1KIT_WORDS": str(send)}
        # Ray blocks SIGINT in its workers, and a mask is inherited: the process hears what it is sent
        before = signal.pthread_sigmask(signal.SIG_SETMASK, [])
        try:
            self.process = subprocess.Popen(
                [command[0] or sys.executable, *command[1:]],
                env={**on_this_host(environment), **added},
                cwd=folder if os.path.isdir(folder) else None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(send, *([self.guard] if guard else [])),
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(send)
            if guard:
                os.close(self.guard)
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            self.readers.append(threading.Thread(target=self._read, args=(name, stream), daemon=True))
            self.readers[-1].start()
        return self.process.pid

    def poll(self) -> dict[str, Any]:
        """What it has said since, and once it has ended its exit code and its last line."""
        self.asked_at = time.monotonic()
        code = self.process.poll() if self.process else None
        if code is not None:
            self.ended_at = self.ended_at or time.monotonic()
            if any(reader.is_alive() for reader in self.readers) and time.monotonic() - self.ended_at < 1.0:
                code = None  # its last lines are still on the way
        with self.lock:
            lines, self.lines, taken = [], self.lines, 0
            while self.lines and taken < SENT:
                lines.append(self.lines.pop(0))
                taken += len(lines[-1][1])
            self.size -= taken
            if self.lines:
                code = None
            elif self.dropped:
                lines.append(("err", f"({self.dropped} lines were said faster than they could be told)"))
                self.dropped = 0
        return {"code": code, "lines": lines, "words": self._words() if code is not None else ""}

    def signal(self, number: int) -> None:
        self.asked_at = time.monotonic()
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> None:
        """End it and all that it started, at once."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    # ---- how fast the way between two hosts is, and how late it is here ----

    def now(self) -> float:
        """Seconds, by this host's clock."""
        self.asked_at = time.monotonic()
        return time.time()

    def listen(self, address: str) -> int:
        """Take in what one other keeper sends; the port."""
        self.asked_at = time.monotonic()
        server = socket.create_server((address, 0))
        server.settimeout(60)
        threading.Thread(target=self._take_in, args=(server,), daemon=True).start()
        return int(server.getsockname()[1])

    def _take_in(self, server: socket.socket) -> None:
        with server:
            there, _ = server.accept()
            with there:
                size = struct.unpack(">Q", there.recv(8, socket.MSG_WAITALL))[0]
                while size > 0 and (piece := there.recv(min(size, 1 << 20))):
                    size -= len(piece)
                there.sendall(b"." if size == 0 else b"!")

    def send_to(self, address: str, port: int, size: int) -> float:
        """Seconds until ``size`` bytes were there. OSError: there is no way."""
        self.asked_at = time.monotonic()
        piece = bytes(1 << 20)
        with socket.create_connection((address, port), timeout=30) as there:
            began = time.monotonic()
            there.sendall(struct.pack(">Q", size))
            for sent in range(0, size, len(piece)):
                there.sendall(piece[: size - sent])
            if there.recv(1) != b".":
                raise ConnectionError("the other end broke off")
        return time.monotonic() - began

    def _words(self) -> str:
        there = select.select([self.receive], [], [], 0)[0]
        return os.read(self.receive, 1 << 16).decode() if there else ""

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip("\n")
                with self.lock:
                    if self.size + len(text) > KEPT:
                        self.dropped += 1
                    else:
                        self.lines.append((name, text))
                        self.size += len(text)

    def _watch_lease(self) -> None:
        """Nobody has asked for longer than the run waits for a host: it has given this one up, so nothing may go on."""
        while True:
            time.sleep(min(1.0, self.lease / 4))
            if time.monotonic() - self.asked_at > (self.lease if self.process else max(self.lease, PLACED)):
                self.end()
                os._exit(0)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ---- what a host says of itself -------------------------------------------------------------------------------------


_TOLD = """
import importlib.util, json, sys
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
found = importlib.util.find_spec("r1kit")
root = found and found.submodule_search_locations and next(iter(found.submodule_search_locations))
print(json.dumps({"root": root or "", "versions": {name: version(name) for name in sys.argv[1:]}}))
"""
"""What a process of the run would find, which a worker of Ray's, whose paths are others, may not."""


def about(address: str, packages: Sequence[str], environment: Mapping[str, str], folder: str) -> dict[str, Any]:
    """Versions as a process of the run finds them, this host's name, its cores and the interface of its address.

    ``clock`` is in seconds; a package that is not here has version ``""``, and so has r1kit's ``code``.

    Args:
        environment: what processes are given here, and the ``folder`` that they work in.
    """
    code, out, errors = asked_of(["", "-c", _TOLD, *packages], environment, folder, 60.0)
    if code:
        raise RuntimeError(f"{sys.executable} does not run: {errors.strip().splitlines()[-1:]}")
    found = json.loads(out)
    return {
        "name": platform.node(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "versions": found["versions"],
        "code": code_of(found["root"]),
        "cores": _cores(),
        "interface": interface_of(address),
    }


def seen(mark: str, paths: Sequence[str]) -> dict[str, Any]:
    """What a file says that was written just now, and what paths hold; empty where nothing is there."""
    try:
        text = Path(mark).read_text(encoding="ascii")
    except OSError:
        text = ""
    return {"mark": text, "there": {path: signature(path) for path in paths}}


def signature(path: str) -> str:
    """Tells files and folders apart by names, sizes, and what they begin and end with; empty: nothing is there."""
    root = Path(path)
    if not root.exists():
        return ""
    files = [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.is_file())
    whole = hashlib.sha256()
    for file in files:
        name = str(file.relative_to(root))
        if not any(part.startswith(".") for part in Path(name).parts if part != "."):
            size = file.stat().st_size
            with file.open("rb") as stream:
                ends = stream.read(ENDS)
                stream.seek(max(0, size - ENDS))
                whole.update(f"{name} {size} ".encode() + ends + stream.read(ENDS))
    return whole.hexdigest()[:16]


def code_of(folder: str) -> str:
    """A digest of a package's own modules: r1kit's version says little about a clone. Empty: it is not here."""
    whole, root = hashlib.sha256(), Path(folder)
    for path in sorted(root.rglob("*.py")) if folder else ():
        whole.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16] if folder else ""


def _cores() -> int:
    """As ``cluster.cores``."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        share, period = quota.read_text(encoding="utf-8").split()
        if share != "max":
            allowed = min(allowed, max(1, round(int(share) / int(period))))
    return allowed


def interface_of(address: str) -> str:
    """The network interface that has an IPv4 address; empty: none here has it."""
    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(any_socket, siocgifaddr, struct.pack("256s", name[:15].encode()))
            except OSError:  # it has none
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""


def on_this_host(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process gets: this worker's environment and what it is given; that alone, where it is a whole one."""
    if "PATH" in environment:
        return dict(environment)
    return {**{name: text for name, text in os.environ.items() if not name.startswith("RAY_")}, **environment}


def asked_of(
    command: Sequence[str], environment: Mapping[str, str], folder: str, seconds: float
) -> tuple[int, str, str]:
    """Run a command of r1kit here: its exit code, stdout and stderr. An argument ``{}`` is a new file, whose content is
    then given in place of stdout."""
    with tempfile.NamedTemporaryFile() as file:
        words = [command[0] or sys.executable, *(file.name if word == "{}" else word for word in command[1:])]
        try:
            done = subprocess.run(
                words,
                env=on_this_host(environment),
                cwd=folder if os.path.isdir(folder) else None,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return 124, "", f"no answer within {seconds:.0f} s"
        out = Path(file.name).read_text(encoding="utf-8") if "{}" in command else done.stdout
    return done.returncode, out, done.stderr
