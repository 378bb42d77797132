"""What goes into a sandbox and what comes out. A run never carries an expected answer: those stay outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from r1kit.errors import InputError

__all__ = ["End", "Limits", "Outcome", "Raised", "Returned", "Run", "Sandbox"]

MEGABYTE = 1 << 20
End = Literal["ok", "not_python", "error", "timeout", "memory", "output_limit", "killed"]
"""How a run ended; ``ok`` says only that it did so by itself, not that anything is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may take."""

    seconds: float = 5.0
    """Wall clock."""
    cpu_seconds: int = 5
    """Processor time, all threads together; the kernel counts in whole seconds."""
    memory_bytes: int = 512 * MEGABYTE
    """Address space of the process, the interpreter's own (about 50 MB) counted."""
    output_bytes: int = MEGABYTE
    """Standard output."""
    value_bytes: int = MEGABYTE
    """Returned values, all calls together, as they cross the wall."""
    threads: int = 32
    open_files: int = 64

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise InputError(f"a sandbox limit must be above 0; {name} is {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One program, started once in a process of its own.

    With ``stdin`` it runs as a script (``__name__ == "__main__"``); without, it is loaded as a module and each of
    ``calls`` is evaluated in it, in order.
    """

    program: str
    calls: tuple[str, ...] = ()
    """Python expressions, for example ``f([3, 1])``."""
    stdin: str | None = None
    tests: tuple[str, ...] = ()
    """Instead of calls: Python that raises where the program is wrong. It runs in a process of its own, where what the
    program defines is stood in for, so that nothing of the program's decides what a comparison gives."""
    setup: str = ""
    """What the tests' process runs before them."""
    names: tuple[str, ...] = ()
    """What is stood in for, as far as ``setup`` does not define it."""

    @property
    def answers(self) -> int:
        """How many calls or tests there are."""
        return len(self.tests or self.calls)


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call gave: None, bool, int, float, complex, str, bytes, list, tuple, dict, set, nested; nothing else."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """A call that gave no value that can be compared."""

    error: str
    """One line, as the program says; untrusted, control characters taken out."""
    kind: Literal["error", "memory", "not_plain", "too_large", "wrong"] = "error"
    """``wrong``: an assert failed. ``not_plain``: it returned something that is not plain data, nested too deep, or
    endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a sandbox says of one run."""

    end: End
    detail: str = ""
    """One line on an end that is not ``ok``; untrusted, control characters taken out."""
    parsed: bool = False
    """The program is Python: it compiled, which the wall's own code found before the program could act."""
    calls: tuple[Returned | Raised, ...] = ()
    """One a call or test, in order, as far as they came; a test that was passed gives True."""
    stdout: bytes = b""
    cpu_seconds: float = 0.0
    """Processor time of the run as the kernel counted it; the program cannot forge it."""
    seconds: float = 0.0
    """Wall clock of the run."""


class Sandbox(Protocol):
    """A place where programs run that nobody trusts. One thread at a time may use it."""

    name: str

    def run(self, runs: Sequence[Run], limits: Limits) -> list[Outcome]:
        """One outcome a run, in order, each within ``limits.seconds`` and a second's grace.

        Raises:
            MissingError: the walls are not there; nothing was run.
            R1Error: the sandbox itself broke.
        """
        ...

    def close(self) -> None:
        """End all of its processes. Idempotent."""
        ...
