"""A user's code in a process of its own: faults injected for real, each told in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from r1kit.apart import Announce, run_apart
from r1kit.errors import InputError, MissingError


def answer(argument: Any, announce: Announce) -> Any:
    """What the argument asks for."""
    announce("my_file.py:thing", 1.0)
    match argument:
        case {"sum": numbers}:
            print("noise on stdout")
            print("noise on stderr", file=sys.stderr)
            return sum(numbers)
        case "input":
            raise InputError("my_file.py: no such name")
        case "missing":
            raise MissingError("lingua is missing; run pip install lingua")
        case "raise":
            raise ValueError("two\nlines")
        case "loop":
            while True:
                pass
        case "exit":
            sys.exit(3)
        case "hard exit":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "thread":
            threading.Thread(target=time.sleep, args=(60,)).start()
            return "left behind"
        case "fork":
            return "forked" if os.fork() else "twice"
        case "memory":
            return len("x" * (8 << 30))
        case "again":
            announce("my_file.py:other", 30.0)
            time.sleep(1.2)
            return "slow"
    return None


def test_a_value_comes_back_whatever_is_printed() -> None:
    assert run_apart(f"{__name__}:answer", {"sum": [1, 2, 3]}) == 6


@pytest.mark.parametrize(("asked", "value"), [("thread", "left behind"), ("fork", "forked"), ("again", "slow")])
def test_threads_copies_and_announced_waits_do_no_harm(asked: str, value: str) -> None:
    began = time.monotonic()
    assert run_apart(f"{__name__}:answer", asked) == value
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("input", "my_file.py: no such name"),
        ("raise", "ValueError: two lines"),
        ("loop", "my_file.py:thing took more than 1 s and was stopped"),
        ("exit", "SystemExit: 3"),
        ("hard exit", "my_file.py:thing ended the process: exit code 7"),
        ("kill", "my_file.py:thing ended the process: signal SIGKILL"),
        ("memory", "MemoryError:"),
    ],
)
def test_a_fault_is_one_line(asked: str, line: str) -> None:
    with pytest.raises(InputError) as told:
        run_apart(f"{__name__}:answer", asked)
    assert str(told.value) == line


def test_whoever_waits_at_a_terminal_is_told_for_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("r1kit.apart.TELL_SECONDS", 0.3)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(InputError, match=r"my_file.py:thing took more than 1 s and was stopped"):
        run_apart(f"{__name__}:answer", "loop")
    assert capsys.readouterr().err.splitlines()[-1] == "my_file.py:thing goes on; it is stopped after 1 s"


def test_what_is_missing_is_told_as_such() -> None:
    with pytest.raises(MissingError, match="run pip install lingua"):
        run_apart(f"{__name__}:answer", "missing")


def test_a_limit_of_the_machine_is_kept_where_it_is_lower() -> None:
    program = (
        "import resource as r\n"
        "r.setrlimit(r.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "from r1kit.apart import limit_memory\n"
        "limit_memory(8 << 30)\n"
        "print(r.getrlimit(r.RLIMIT_FSIZE), r.getrlimit(r.RLIMIT_AS))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{(1 << 20,) * 2} {(8 << 30,) * 2}\n"
