"""Whose an exception is: one that comes out of a user's code is told as its line there, without a traceback of ours."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1kit.errors import R1Error
from r1kit.interrupts import Stopped
from r1kit.users_code import OURS, blame, is_theirs, users_places

__all__ = ["users_told"]


@contextmanager
def users_told(where: str) -> Iterator[None]:
    """Around work that calls a user's engine, learner, task or corpus somewhere.

    Args:
        where: the stage, for the line.

    Raises:
        R1Error: what their code raised, ``sys.exit`` and a KeyboardInterrupt that no signal raised among it.
    """
    try:
        yield
    except (R1Error, Stopped):
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        line = _of_user(error)
        if not line and isinstance(error, SystemExit):
            line = f"SystemExit: {error.code}"
        if line:
            raise R1Error(f"{where}: {line}") from error
        raise


def _of_user(error: BaseException) -> str:
    """The line of a user's file, where the innermost frame that is theirs or ours is theirs; else empty."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(OURS):
            return ""
        if any(is_theirs(path, place) for place in users_places()):
            return blame(error, path.parent)
    return ""
