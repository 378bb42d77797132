"""One verifier process as its parent sees it: start it, send batches, read replies, kill it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from typing import Any, Literal

from r1kit.apart import environment, exit_words
from r1kit.reward.messages import HEADER, Batch, Job

__all__ = ["Process"]

STAND_SECONDS = 0.05
"""For a process that is told to say where it stands."""
TRACED = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
"""A line of faulthandler, innermost frame first."""


class Process:
    """One verifier process and what it still owes."""

    def __init__(self, setup: bytes, warmup: float) -> None:
        receive, send = os.pipe()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in kill
        self.process = subprocess.Popen(
            [sys.executable, "-m", "r1kit.reward.worker", str(send), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
            pass_fds=[send],
            env=environment(),
            start_new_session=True,  # Ctrl-C reaches the run, which then closes its workers
        )
        os.close(send)
        self.receive = receive
        self.buffer = b""
        self.owed: deque[tuple[Batch, Job]] = deque()
        self.deadline = time.monotonic() + warmup
        self.state: Literal["starting", "idle", "busy"] = "starting"
        self.built: set[str] = set()
        self.doing = ""
        """The user's function that it is in, where it said so: ``my_rewards.py:brevity``."""
        self.grouped = False
        """Whether that function sees the whole group."""
        self.preparing = False
        """Whether the task works on a whole group, so that no completion of it can be blamed."""
        self._write(setup)

    def _write(self, payload: bytes) -> None:
        assert self.process.stdin is not None
        # A worker that died has closed its end of the reply pipe too, and the round sees that.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(HEADER.pack(len(payload)) + payload)
            self.process.stdin.flush()

    def send(self, batches: list[Batch]) -> None:
        self.owed.extend((batch, job) for batch in batches for job in batch.due)
        self.state = "busy"
        self._write(pickle.dumps(batches))

    def lines(self) -> list[list[Any]] | None:
        """Replies that have come; None when the process has closed its end."""
        chunk = os.read(self.receive, 1 << 18)
        if not chunk:
            return None
        *whole, self.buffer = (self.buffer + chunk).split(b"\n")
        return [json.loads(line) for line in whole]

    def alive(self) -> bool:
        return self.process.poll() is None

    def interrupt(self) -> None:
        """Kill it with all it started; its pipes stay, and say so to whoever reads them."""
        with contextlib.suppress(ProcessLookupError):  # already gone
            os.killpg(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it with all it started, and give its pipes back."""
        if self.process.stdin is None or self.process.stdin.closed:
            return  # killed before
        self.interrupt()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # unsent bytes of a dead worker
            self.process.stdin.close()
        os.close(self.receive)
        self.errors.close()

    def was_struck(self) -> bool:
        """Whether it was ended, or stands still, by a signal that no rule sends itself: somebody, or a machine that ran
        out of memory, sent it."""
        if (code := self.process.poll()) is not None:
            return code in (-signal.SIGKILL, -signal.SIGTERM)
        with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"
        return False

    def where_it_stands(self) -> str:
        """The line of the user's function that a process hangs in, ``my_rewards.py:12: brevity``, or the function."""
        if not self.doing:
            return ""
        file, _, called = self.doing.rpartition(":")
        start = self.errors.seek(0, os.SEEK_END)
        os.kill(self.process.pid, signal.SIGUSR1)  # it writes where it stands to its stderr
        time.sleep(STAND_SECONDS)
        self.errors.seek(start)
        for path, line in TRACED.findall(self.errors.read(1 << 16).decode(errors="replace")):
            if os.path.basename(path) == file:
                return f"{file}:{line}: {called}"
        return self.doing

    def last_words(self) -> str:
        """Exit code or signal, with the last line of stderr."""
        return exit_words(self.process, self.errors)
