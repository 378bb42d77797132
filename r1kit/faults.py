"""Whose an exception is: one that comes out of a user's code is told as its line there, without a traceback of ours.

And what a function of theirs asks for, before it is called.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, R1Error
from r1kit.interrupts import Stopped
from r1kit.users_code import OURS, blame, is_theirs, users_places

__all__ = ["parameters_of", "users_told"]


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


def parameters_of(function: Any, where: str, shape: str, *, named: bool = True) -> Mapping[str, inspect.Parameter]:
    """What a user's function asks for.

    Args:
        where: it, for messages.
        shape: how such a function is written: ``f(rewards)``.
        named: it is called with its parameters' names.

    Raises:
        InputError: it is no plain function, or does not say its parameters' names.
    """
    if not callable(function) or inspect.isclass(function):
        raise InputError(f"{where} is not a function; write {shape}")
    if inspect.iscoroutinefunction(function):
        raise InputError(f"{where} is async; write a plain function {shape}")
    try:
        found = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise InputError(f"{where} does not say its parameters; write {shape}") from None
    if named and (hidden := [name for name, each in found.items() if each.kind is each.POSITIONAL_ONLY]):
        raise InputError(f"{where} takes {hidden[0]!r} without its name; drop the / from its parameters")
    return found
