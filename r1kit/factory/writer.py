"""What only rank 0 of a stage does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from r1kit.errors import R1Error
from r1kit.workspace import Workspace

__all__ = ["on_writer"]

_T = TypeVar("_T")


def on_writer(workspace: Workspace, work: Callable[[], _T]) -> _T:
    """Do what only rank 0 does, and have its result, or its error, on every rank."""
    result: _T | None = None
    error: R1Error | None = None
    if workspace.is_writer:
        try:
            result = work()
        except R1Error as raised:
            error = raised
    result, error = workspace.ranks.broadcast_object((result, error))
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
