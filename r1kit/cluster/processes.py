"""What processes a run has, apart from how one is started: a ``Job`` says what, a ``Starter`` does it.

``Here`` starts them on this machine. A cluster's starter does the same on others, and there each host's part of it may
use ``Here`` in turn.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from r1kit.cluster.settings import Needs
from r1kit.errors import MissingError
from r1kit.files import open_files

__all__ = ["LOOPBACK", "PARENT", "WORDS", "Here", "Job", "Place", "Process", "Starter", "tunables"]

PARENT, WORDS = "R1KIT_PARENT", "R1KIT_WORDS"
"""Environment of a process: the process id of who started it; the file descriptor that takes its last line."""
LOOPBACK = "127.0.0.1"
FILES, FILES_EACH = 48, 8
"""That a process of a run may hold open at a time: its own, and connections to each of the others. With fewer than some
20 gloo waits for peers that cannot be let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process: what it runs and what it is told."""

    name: str
    """For messages, logs and look-ups: ``rank 0``, ``engine 1``."""
    command: tuple[str, ...]
    """What follows the interpreter."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """On top of that of the host it is started on."""
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job runs."""

    host: str = LOOPBACK
    """Address by which all other processes of the run reach it; jobs of one host have the same."""


class Process(Protocol):
    """A job that was started. No call waits but ``wait``."""

    @property
    def name(self) -> str:
        """The job's, and the host's where there are several: ``rank 1 @ two``."""
        ...

    def poll(self) -> int | None:
        """Exit code, or minus the signal; None: it is not known to have ended."""
        ...

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that has ended."""
        ...

    def last_words(self) -> str:
        """What it wrote to ``WORDS`` before it ended; empty: nothing."""
        ...

    def kill(self) -> None:
        """End it at once. Nothing happens to one that has ended."""
        ...

    def wait(self) -> None:
        """Until it has ended; then all that it held is given back. Called once, last."""
        ...


class Starter(Protocol):
    """How jobs become processes."""

    @property
    def home(self) -> str:
        """Address by which the processes reach this one."""
        ...

    def places(self, jobs: Sequence[Job]) -> Sequence[Place]:
        """Where each of these jobs will run; asked once for jobs that belong together, again for one that is started
        anew.

        Raises:
            MissingError: there is no room for them; says what is missing.
        """
        ...

    def free_port(self, place: Place) -> int:
        """A port that nobody listens on there."""
        ...

    def start(self, job: Job, place: Place) -> Process:
        """Start it; does not wait until it runs. It must not hear the signals of a terminal, must end when this process
        dies, and its output must come out here."""
        ...

    def close(self) -> None:
        """Give back what was reserved; the processes have ended."""
        ...


class Here:
    """Starts processes on this machine."""

    home = LOOPBACK

    def __init__(self, keep: Sequence[int] = (), streams: tuple[int, int | None] | None = None) -> None:
        """
        Args:
            keep: file descriptors that every process inherits.
            streams: what takes their stdout and stderr; None: this process's.
        """
        self._keep = tuple(keep)
        self._streams = streams or (None, None)

    def places(self, jobs: Sequence[Job]) -> Sequence[Place]:
        """All here."""
        needed = FILES + FILES_EACH * len(jobs)
        if (most := open_files(needed)) < needed:
            raise MissingError(
                f"a process may hold {most} files open here, and each of a run of {len(jobs)} needs {needed}; raise it "
                "with 'ulimit -n 1024'"
            )
        return [Place() for _ in jobs]

    def free_port(self, place: Place) -> int:
        """See ``Starter``."""
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            return int(probe.getsockname()[1])

    def start(self, job: Job, place: Place) -> Process:
        """See ``Starter``."""
        return _Child(job, self._keep, self._streams)

    def close(self) -> None:
        """Nothing was reserved."""


class _Child:
    """A process of this one, and the pipe that takes its last words."""

    def __init__(self, job: Job, keep: Sequence[int], streams: tuple[int | None, int | None]) -> None:
        self.name = job.name
        self._receive, send = os.pipe()
        environment = {**os.environ, **job.environment, PARENT: str(os.getpid()), WORDS: str(send)}
        environment["GLIBC_TUNABLES"] = tunables(environment.get("GLIBC_TUNABLES", ""))
        with _blocked(signal.SIGINT, signal.SIGHUP):  # a child inherits this: they reach the whole group, and the
            # parent answers for all
            self._process = subprocess.Popen(
                [sys.executable, *job.command], env=environment, pass_fds=(*keep, send), stdout=streams[0],
                stderr=streams[1],
            )  # fmt: skip
        os.close(send)

    def poll(self) -> int | None:
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def last_words(self) -> str:
        os.set_blocking(self._receive, False)
        with suppress(BlockingIOError):
            return os.read(self._receive, 1 << 16).decode()
        return ""

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> None:
        self._process.wait()
        os.close(self._receive)


def tunables(present: str) -> str:
    """Ask glibc for huge pages: an update touches tens of megabytes, and where memory is virtualised a miss of the page
    tables costs most. Only a process that starts can be told; a value that the user has set stays."""
    return present if "glibc.malloc.hugetlb" in present else f"{present}:glibc.malloc.hugetlb=1".lstrip(":")


@contextmanager
def _blocked(*numbers: signal.Signals) -> Iterator[None]:
    """What comes meanwhile comes afterwards; a process that is started meanwhile never hears it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
