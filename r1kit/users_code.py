"""Where users' code lies, and which line of it an exception came out of."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

__all__ = ["INSTALLED", "PLACES", "blame", "innermost", "is_theirs", "know", "users_places"]

OURS = Path(__file__).parent
PYTHONS = sysconfig.get_path("stdlib")
INSTALLED = {"site-packages", "dist-packages"}
"""Folders that packages are installed into."""
PLACES = "R1KIT_USER_PLACES"
"""Environment: ``users_places``, so that a process that inherits their place in ``sys.path`` knows them."""


def users_places() -> list[str]:
    """Folders of users' files that were imported, and of packages that they named; of a module alone its file."""
    return [place for place in os.environ.get(PLACES, "").split(os.pathsep) if place]


def know(place: str) -> None:
    """Take a folder or a file as a user's."""
    if place not in (known := users_places()):
        os.environ[PLACES] = os.pathsep.join([*known, place])


def is_theirs(path: Path, place: str | Path) -> bool:
    """Whether a file at a user's place is theirs: packages, and Python itself, may lie below it."""
    if not path.is_relative_to(place) or (path.is_relative_to(PYTHONS) and not Path(place).is_relative_to(PYTHONS)):
        return False
    return INSTALLED.isdisjoint(path.relative_to(place).parts)


def innermost(frames: Iterable[tuple[str, int]]) -> str:
    """``my_stage.py:12``: the innermost of (file, line) that is a user's, or ours; empty where it is ours. Told by the
    paths alone: who asks may be another process than the one whose frames they are."""
    for file, line in frames:
        path = Path(file)
        if path.is_relative_to(OURS):
            return ""
        if path.suffix == ".py" and path.is_absolute() and is_theirs(path, "/"):
            return f"{path.name}:{line}"
    return ""


def blame(error: BaseException, folder: Path) -> str:
    """``my_rewards.py:12: ZeroDivisionError: division by zero``: the innermost line below ``folder`` that led to it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: {type(error).__name__}: {error.msg}"
    try:
        words = str(error)
    except Exception:  # an exception class of the user's own may itself be broken
        words = ""
    told = " ".join(f"{type(error).__name__}: {words}".split()).removesuffix(":")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_theirs(Path(frame.filename), folder):
            return f"{Path(frame.filename).name}:{frame.lineno}: {told[:300]}"
    return told[:300]
