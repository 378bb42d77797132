"""Whose an exception is: one that comes out of a user's code is told as its line there, without a traceback of ours."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1kit.errors import R1Error
from r1kit.registry import blame, user_folders

__all__ = ["users_told"]

OURS, PYTHONS = Path(__file__).parent, sysconfig.get_path("stdlib")
PACKAGES = {"site-packages", "dist-packages"}


@contextmanager
def users_told(where: str) -> Iterator[None]:
    """Around work that calls a user's engine, learner, task or corpus somewhere.

    Args:
        where: the stage, for the line.

    Raises:
        R1Error: what their code raised, ``sys.exit`` among it.
    """
    try:
        yield
    except R1Error:
        raise
    except (Exception, SystemExit) as error:
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
        if PACKAGES & set(path.parts) or path.is_relative_to(PYTHONS):  # which may lie below a user's folder
            continue
        if any(map(path.is_relative_to, user_folders())):
            return blame(error, path.parent)
    return ""
