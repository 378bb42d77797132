"""What a launched process says of itself over the pipe that ``WORDS`` names, for whoever has to explain its end.

JSON lines, of which later ones add to earlier ones: ``doing`` (a stage), ``place`` (the line of a user's file that
ended it), ``words`` and ``own`` (its last line, see ``launched.leave``), ``done``. What crashes below Python leaves
what ``faulthandler`` writes.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from r1kit.cluster.processes import WORDS
from r1kit.files import object_of
from r1kit.users_code import innermost

__all__ = ["explain_ends", "heard", "tell"]

_CRASHED_IN = re.compile(r'  File "(.*)", line (\d+) in ')


def tell(**what: Any) -> None:
    """Say it; nothing where nobody listens."""
    with suppress(KeyError, OSError):
        os.write(int(os.environ[WORDS]), json.dumps(what).encode() + b"\n")


def heard(text: str) -> dict[str, Any]:
    """All that a process has said."""
    found: dict[str, Any] = {}
    crashed: list[tuple[str, int]] = []
    for line in text.splitlines():
        if line.startswith("{"):
            found.update(object_of(line) or {})  # half a line is what a killed process leaves
        elif frame := _CRASHED_IN.match(line):
            crashed.append((frame[1], int(frame[2])))
    return {**found, "place": innermost(crashed)} if crashed else found


def explain_ends() -> None:
    """From here on a crash says where it was, and code of a user's that calls ``os._exit`` where it did."""
    if WORDS not in os.environ:
        return
    faulthandler.enable(int(os.environ[WORDS]), all_threads=False)
    owner, leave = os.getpid(), os._exit

    def explained(status: int) -> NoReturn:
        if os.getpid() == owner and (place := innermost(_frames(sys._getframe(1)))):
            tell(place=f"{place}: os._exit({status})")
        leave(status)

    os._exit = explained


def _frames(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
