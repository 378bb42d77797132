"""Signals before the command is imported, and once it is over: one line and the exit code.

Imports what an interpreter has loaded anyway and little more, so that they are heard as early as can be.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["INTERRUPTED", "heed"]

INTERRUPTED = "interrupted; run the same command again"
"""Outside the steps of a run, which say where they stand: most commands begin anew."""


def heed() -> None:
    """From here on a signal ends the process, unless somebody else heeds it (``interrupts``, a server) or it was
    started to ignore it. Not in a rank, whose parent answers for it until it heeds signals itself."""
    if "RANK" in os.environ:
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """No exception: one that is raised within an import may be caught there, or told as a fault of the module."""
    try:
        print(f"r1: {INTERRUPTED}", file=sys.stderr, flush=True)
        sys.stdout.flush()  # what a command that is over has printed
    finally:
        os._exit(130)
