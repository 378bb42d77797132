"""The trackers' processes, seen from the run: started beside it, started again when one dies, given a bounded time at
the end. None of them can stop or slow the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Any

from r1kit.cluster.beside import Ended
from r1kit.cluster.last_words import heard
from r1kit.cluster.processes import PARENT, WORDS
from r1kit.errors import R1Error
from r1kit.trackers.feed import left

__all__ = ["tracked"]

FINISH_SECONDS = 15.0
"""How long all trackers have, together, once the run has ended."""
RESTARTS = 3
_NOT_THEIRS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", PARENT, WORDS, "R1KIT_RUN")


@contextmanager
def tracked(
    trackers: Mapping[str, Any], folder: Path, errors: int | None, tell: Callable[[str], None]
) -> Iterator[None]:
    """Feed the trackers while the block runs, and for a bounded time after it.

    Args:
        errors: takes what they tell the user; None: stderr.
        tell: takes a line about what was left.
    """
    if not trackers:
        yield
        return
    beside = [_Beside(name, folder, errors, tell) for name in trackers]
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(beside, over), name="trackers", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        try:
            for one in beside:
                one.finish()
            until = time.monotonic() + FINISH_SECONDS
            for one in beside:
                one.wait(max(0.0, until - time.monotonic()))
        finally:
            for one in beside:
                one.kill()
        for name in trackers:
            with suppress(R1Error, OSError):
                if what := left(folder, name):
                    again = f"r1 track {quote(str(folder))} --to {quote(name)}"
                    tell(f"warning: tracker {name} was not sent {what}; {again} does so")


def _keep(beside: list[_Beside], over: threading.Event) -> None:
    while not over.wait(0.5):
        for one in beside:
            one.again()


class _Beside:
    def __init__(self, name: str, folder: Path, errors: int | None, tell: Callable[[str], None]) -> None:
        self._name, self._folder, self._errors, self._tell = name, folder, errors, tell
        self._starts = 0
        self._start()

    def _start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_THEIRS}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        self._starts += 1
        self._receive, send = os.pipe()
        environment[WORDS] = str(send)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "r1kit", "track", str(self._folder), "--to", self._name, "--follow"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors, env=environment,
            start_new_session=True,  # a terminal's signals are the run's to answer
            pass_fds=(send,),
        )  # fmt: skip
        os.close(send)

    def again(self) -> None:
        """Start it again where it has died."""
        if (code := self._process.poll()) not in (None, 0) and self._starts <= RESTARTS:
            ended = Ended(rank=-1, name=self._name, code=code or 0, **heard(os.read(self._receive, 1 << 16).decode()))
            self._tell(f"warning: tracker {ended.name} {ended.why}; it is started again")
            self._close()
            self._start()

    def finish(self) -> None:
        """Tell it that the run is over; it finds out by itself, too, when this process is gone."""
        if self._process.poll() not in (None, 0) and self._starts <= RESTARTS:
            self.again()
        self._close()

    def wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def kill(self) -> None:
        """End it with whatever it has started, so that nothing outlives the run."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _close(self) -> None:
        os.close(self._receive)
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
