"""One warm sandbox as its owner sees it: start it, hand it a run, take its frames, kill it."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from r1kit.errors import R1Error
from r1kit.sandbox import cgroup
from r1kit.sandbox.outcome import Ended, read_outcome
from r1kit.sandbox.protocol import Limits, Outcome, Run
from r1kit.sandbox.runner import END, FRAME, JOB

__all__ = ["Start", "Worker", "program_source", "runner_source"]

START_SECONDS = 30.0
GRACE_SECONDS = 1.0
"""What a run may take beyond its deadline until its sandbox is killed from outside."""
MAX_FRAME = 1 << 17
SOURCE = """
import sys, types
for name, text in {modules!r}:
    sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), sys.modules[name].__dict__)
"""
INSIDE = ("plain", "program", "tester")
"""Modules that the runner imports, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How one sandbox is started."""

    command: Sequence[str]
    filter: bytes
    """Seccomp filter that each program gets; empty for none."""
    descriptors: tuple[int, ...] = ()
    """Handed to the command, and closed here once it runs."""
    cgroup: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of the command."""
    after: tuple[str, ...] = ()
    """Command that clears away what is left once it was killed."""


def runner_source() -> str:
    """The code inside the walls, as the last argument of ``python -c``: modules of a package that is not there."""
    return program_source(INSIDE) + f'exec(compile({_text("runner.py")!r}, "runner", "exec"))\n'


def program_source(inside: Sequence[str] = INSIDE[:2]) -> str:
    """The part of it that is no process 1."""
    modules = [(f"r1kit.sandbox.{name}", _text(f"{name}.py")) for name in inside]
    return SOURCE.format(modules=[("r1kit", ""), ("r1kit.sandbox", ""), *modules])


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


class Worker:
    """One sandbox and the run it owes, if any."""

    def __init__(self, start: Start) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in kill
        self.start = start
        self.process = subprocess.Popen(
            start.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            pass_fds=start.descriptors,
            env=dict(start.environment),
            start_new_session=True,  # Ctrl-C reaches the owner, which then closes its workers
        )
        for descriptor in start.descriptors:
            os.close(descriptor)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.send_end, self.receive_end = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.send_end, False)
        os.set_blocking(self.receive_end, False)
        self.outgoing = memoryview(len(start.filter).to_bytes(4, "little") + start.filter)
        self.incoming = bytearray()
        self.state: Literal["starting", "idle", "busy"] = "starting"
        self.deadline = time.monotonic() + START_SECONDS
        self.number = -1
        """Which run of the call it has in hand."""
        self.run: Run | None = None
        self.limits = Limits()
        self.stdout, self.results = bytearray(), bytearray()

    def hand(self, number: int, run: Run, limits: Limits) -> None:
        """Give it a run; what does not fit into the pipe now is sent by ``push``."""
        job = marshal.dumps((run.program, tuple(run.calls), run.stdin), 2)  # version 2: any Python reads it
        tests = marshal.dumps((run.setup, tuple(run.tests), tuple(run.names)), 2) if run.tests else b""
        header = JOB.pack(
            len(job), len(tests), limits.seconds, limits.cpu_seconds, limits.memory_bytes, limits.output_bytes,
            limits.value_bytes, limits.threads, limits.open_files,
        )  # fmt: skip
        self.number, self.run, self.limits, self.state = number, run, limits, "busy"
        self.stdout, self.results = bytearray(), bytearray()
        self.deadline = time.monotonic() + limits.seconds + GRACE_SECONDS
        self.outgoing = memoryview(header + job + tests)
        self.push()

    def push(self) -> None:
        """Send what the pipe takes."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # a dead worker shows at its other end
            while self.outgoing:
                self.outgoing = self.outgoing[os.write(self.send_end, self.outgoing) :]

    def take(self) -> Outcome | None:
        """Read what has come; the outcome when the run has ended.

        Raises:
            EOFError: it has gone.
        """
        try:
            chunk = os.read(self.receive_end, 1 << 18)
        except BlockingIOError:
            return None
        if not chunk:
            raise EOFError
        self.incoming += chunk
        while len(self.incoming) >= FRAME.size:
            letter, size = FRAME.unpack_from(self.incoming)
            if size > MAX_FRAME:
                raise R1Error("the sandbox broke its protocol")
            if len(self.incoming) < FRAME.size + size:
                break
            payload = bytes(self.incoming[FRAME.size : FRAME.size + size])
            del self.incoming[: FRAME.size + size]
            if letter == b"E":
                return self._ended(payload)
            self._frame(letter, payload)
        return None

    def _frame(self, letter: bytes, payload: bytes) -> None:
        if letter == b"H" and self.state == "starting":
            self.state = "idle"
        elif letter == b"O" and len(self.stdout) + len(payload) <= self.limits.output_bytes:
            self.stdout += payload
        elif letter == b"R" and len(self.results) + len(payload) <= self.limits.value_bytes:
            self.results += payload
        else:
            raise R1Error("the sandbox broke its protocol")

    def _ended(self, payload: bytes) -> Outcome:
        status, reason, cpu, seconds, self.used = END.unpack(payload)
        self.used = self.used or not self.results  # it may have ended before it had read the whole job
        self.struck = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGTERM)
        assert self.run is not None
        self.state = "idle"
        ended = Ended(status=status, reason=reason, cpu_seconds=cpu, seconds=seconds)
        return read_outcome(self.run, self.limits, ended, bytes(self.stdout), bytes(self.results))

    used = False
    """Its writable place was touched: it must not see another program."""
    struck = True
    """How it, or its last run, came to be killed may be somebody else's doing; a crash is the program's own."""

    def last_words(self) -> str:
        """The end of what it wrote on standard error."""
        self.errors.seek(-min(4096, self.errors.seek(0, os.SEEK_END)), os.SEEK_END)
        return self.errors.read().decode(errors="replace")

    def kill(self) -> None:
        """Kill it with all in it, wait until they are gone, and give its pipes back."""
        if self.process.stdin is None or self.process.stdin.closed:
            return  # killed before
        with contextlib.suppress(BrokenPipeError):  # unsent bytes of a dead worker
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self._drain()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()
        if self.start.after:
            environment = dict(self.start.environment)
            subprocess.run(self.start.after, capture_output=True, env=environment, timeout=30, check=False)
        if self.start.cgroup is not None:
            cgroup.remove(self.start.cgroup)

    def _drain(self) -> None:
        """The namespace's process 1 holds the other end of the pipe, so its end shows that the namespace is gone."""
        limit = time.monotonic() + 5.0
        while time.monotonic() < limit:
            try:
                if not os.read(self.receive_end, 1 << 18):
                    return
            except BlockingIOError:
                time.sleep(0.001)
