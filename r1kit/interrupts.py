"""SIGINT, SIGTERM and SIGHUP: what they end, when, and what is said.

Within a step (``held``) the first one is only noted: the step goes on to its end, its resume point is written, and then
the process ends. Anywhere else nothing would be gained by waiting, so it ends there. A second SIGINT or SIGTERM ends
it at once; SIGHUP, which a closing terminal sends more than once, never counts as a second. What the process was
started to ignore (``nohup``) stays ignored. Signals are a process's own, and so is the state here.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from r1kit.errors import Interrupted

__all__ = ["GO_ON", "Stopped", "asked", "heeded", "held", "interrupted", "keep", "unheeded"]

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GO_ON = "run the same command to go on"


class Stopped(KeyboardInterrupt):
    """A signal that ends the process where it stands; nothing that catches errors may catch it. Says what
    ``Interrupted`` says."""


@dataclass(slots=True)
class _State:
    asked: str = ""
    """Name of the first signal that came; empty: none."""
    again: bool = True
    """Whether a second one ends the process at once."""
    holding: bool = False
    kept: str = ""
    """What a resume point holds: ``r1_zero stands at step 12 of 70``."""


_state = _State()


@contextmanager
def heeded(*, again: bool = True) -> Iterator[None]:
    """Signals end the process as this module says, for as long as the block runs; only the main thread hears them.

    Args:
        again: whether a second one ends it at once; not in a rank, whose parent counts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state
    outer, _state = _state, _State(again=again)
    before = {number: signal.getsignal(number) for number in HEEDED}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _heed)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _state = outer


@contextmanager
def unheeded() -> Iterator[None]:
    """A signal ends the process without a word, as if nobody heeded it: around a long wait outside of Python, in which
    nothing else could hear it, and by which nothing is lost."""
    ours = [number for number in HEEDED if signal.getsignal(number) is _heed]
    for number in ours:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, _heed)


def _heed(number: int, frame: FrameType | None) -> None:
    second = bool(_state.asked) and number != signal.SIGHUP and _state.again
    _state.asked = _state.asked or signal.Signals(number).name
    if second or not _state.holding:
        raise Stopped(str(interrupted()))


@contextmanager
def held() -> Iterator[None]:
    """The first signal is only noted, for whoever asks after each step.

    Raises:
        Interrupted: at the end, where one came and nobody asked since.
    """
    _state.holding = True
    try:
        yield
    finally:
        _state.holding = False
    if _state.asked:
        raise interrupted()


def asked() -> str:
    """Name of the signal that came; empty: none. Where nobody heeds them, none comes."""
    return _state.asked


def keep(what: str) -> None:
    """Note what the newest resume point holds, for the line that the user reads."""
    _state.kept = what


def interrupted(signal: str = "") -> Interrupted:
    """The error that says what came, what is kept and what to do.

    Args:
        signal: its name, where it came to another process of the run.
    """
    by = f" by {signal or _state.asked}" if signal or _state.asked else ""
    return Interrupted(f"interrupted{by}: {_state.kept or 'no step was done yet'}; {GO_ON}")
