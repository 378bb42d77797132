"""Run a user's code in a process of its own: it may hang, crash, exit or print, and the caller gets one line.

Not a sandbox: the code runs with the user's rights. It imports no torch by itself, and answers in JSON over a pipe of
its own, so that nothing printed can be taken for an answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from r1kit.errors import InputError, MissingError, R1Error, first_line

__all__ = ["Announce", "Replies", "die_with", "environment", "exit_words", "limit_memory", "run_apart", "try_import"]

Announce = Callable[[str, float], None]
"""What is done next, for messages, and how many seconds it may take."""
START_SECONDS = 60.0
"""For the interpreter and the imports of our own."""
TELL_SECONDS = 10.0
"""Whoever waits longer at a terminal is told for what."""
FILE_LIMIT = 64 << 20
"""Largest file, stderr included, that the code may write, in bytes."""
_PR_SET_PDEATHSIG = 1


def run_apart(target: str, argument: Any, memory_bytes: int = 4 << 30) -> Any:
    """What ``module:function`` returns in a fresh process, a JSON value; called as ``function(argument, announce)``.

    Args:
        target: of a module that is safe to import; it loads the user's code, and says so by ``announce`` first.
        argument: travels as a pickle.
        memory_bytes: address space the process may take; 0 sets no limit.

    Raises:
        InputError: the function said so, or the code it ran raised, ended the process or took longer than announced.
        MissingError: the function said so.
    """
    receive, send = os.pipe()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "r1kit.apart", str(send), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[send],
            env=environment(),
            start_new_session=True,
        )
        os.close(send)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(pickle.dumps((target, argument, memory_bytes)))
            return _answer(process, receive, errors)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(receive)


def try_import(path: Path) -> None:
    """Import a user's file in a process of its own. Raises InputError, one line, if that fails, hangs or crashes."""
    run_apart("r1kit.registry:import_only", path, memory_bytes=0)


def _answer(process: subprocess.Popen[bytes], receive: int, errors: IO[bytes]) -> Any:
    """Read until the process says how it ended; every step may take as long as it was announced with."""
    doing, seconds, buffer = "a process for your code", START_SECONDS, b""
    until, told = time.monotonic() + seconds, False
    with selectors.DefaultSelector() as selector:
        selector.register(receive, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(min(left, TELL_SECONDS)):
                if not told and time.monotonic() < until and sys.stderr.isatty():
                    print(f"{doing} goes on; it is stopped after {seconds:g} s", file=sys.stderr, flush=True)
                    told = True
                continue
            chunk = os.read(receive, 1 << 16)
            if not chunk:
                raise InputError(f"{doing} ended the process: {exit_words(process, errors)}")
            *lines, buffer = (buffer + chunk).split(b"\n")
            for kind, *rest in map(json.loads, lines):
                if kind != "doing":
                    return _settled(kind, rest[0])
                doing, seconds = rest
                until, told = time.monotonic() + seconds, False
    raise InputError(f"{doing} took more than {seconds:g} s and was stopped")


def _settled(kind: str, value: Any) -> Any:
    if kind == "done":
        return value
    raise MissingError(value) if kind == "missing" else InputError(value)


def environment() -> dict[str, str]:
    """Of a process that runs rules: one thread, no GPU, the same order of sets and dicts in every process."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # a rule that prints prints into nothing, whatever the terminal
        "PYTHONHASHSEED": "0",  # sympy orders by hash: the same answer must get the same grade in every process
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def exit_words(process: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    """Exit code or signal of a process that has closed its pipe, with the last line of its stderr."""
    try:
        code = process.wait(1.0)
    except subprocess.TimeoutExpired:  # it closed the pipe and goes on, as another program may
        return "it closed the verifier's pipe"
    errors.seek(-min(4096, errors.seek(0, os.SEEK_END)), os.SEEK_END)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return how + (f", {lines[-1].strip()}" if lines else "")


# ---- in the process ---------------------------------------------------------------------------------------------


def die_with(parent: int) -> None:
    """End with the parent, however it ends. Linux only; elsewhere an idle process ends when its stdin closes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl took hold
            os._exit(1)


def limit_memory(limit: int) -> None:
    """Address space and size of files, never above what this machine allows; 0 sets no limit."""
    if limit:
        import resource

        for number, value in ((resource.RLIMIT_AS, limit), (resource.RLIMIT_FSIZE, FILE_LIMIT)):
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))


class Replies:
    """JSON lines on one file descriptor, written whole; a process that was forked off here cannot answer."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def send(self, message: list[Any]) -> None:
        if self._descriptor < 0:
            os._exit(0)  # a copy of this process that came back out of the user's code
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]


def main() -> None:
    """Call the one function and answer. ``argv``: reply file descriptor, parent's process id."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    replies = Replies(descriptor)
    target, argument, memory_bytes = pickle.load(sys.stdin.buffer)
    limit_memory(memory_bytes)
    module, name = target.split(":")
    try:
        call = getattr(importlib.import_module(module), name)
        replies.send(["done", call(argument, lambda doing, seconds: replies.send(["doing", doing, seconds]))])
    except MissingError as error:
        replies.send(["missing", first_line(error)])
    except R1Error as error:
        replies.send(["input", first_line(error)])
    except BaseException as error:
        replies.send(["input", " ".join(f"{type(error).__name__}: {str(error)[:300]}".split())])
    os._exit(0)  # whatever threads the code left behind


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    main()
