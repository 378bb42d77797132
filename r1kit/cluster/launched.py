"""A launched process's own side: whether it is one, its last words, and its end with whoever started it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from r1kit import interrupts
from r1kit.apart import die_with
from r1kit.cluster.last_words import explain_ends, tell
from r1kit.cluster.processes import PARENT
from r1kit.errors import Interrupted, PeerLostError, R1Error

__all__ = ["is_launched", "leave", "run_as_rank"]


def is_launched() -> bool:
    """Did ``launch`` start this process?"""
    return PARENT in os.environ


def run_as_rank(work: Callable[[], None]) -> NoReturn:
    """Do a launched process's work and leave at once, whatever happens: peers in a collective must not wait for it."""
    die_with(int(os.environ[PARENT]))
    explain_ends()
    try:
        with interrupts.heeded(again=False):
            work()
    except interrupts.Stopped as stopped:
        leave(Interrupted.exit_code, str(stopped), own=True)
    except R1Error as error:
        leave(error.exit_code, str(error), own=not isinstance(error, PeerLostError))
    except BaseException as error:
        traceback.print_exc()
        leave(1, f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    tell(done=True)
    leave(0)


def leave(code: int, line: str = "", own: bool = False) -> NoReturn:
    """End this launched process at once, with its last line; ``own``: the line is the user's as it is."""
    if line:
        tell(words=" ".join(line.split())[:4000], own=own)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
