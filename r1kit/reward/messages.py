"""What the parent tells a verifier process. Nothing here imports torch."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from r1kit.records import Prompt

if TYPE_CHECKING:
    from r1kit.reward.settings import RewardConfig

__all__ = ["HEADER", "Batch", "Job", "Setup"]

HEADER = struct.Struct("<Q")
"""Length of the pickle that follows, in bytes."""


@dataclass(frozen=True, slots=True)
class Job:
    """One completion to judge."""

    number: int
    """Of the completion in its scoring call."""
    text: str
    """Special tokens kept, end token left out; with the ``<think>`` that its prompt wrote."""
    finish: str
    """``stop`` or ``length``."""
    length: int
    """In tokens."""
    token_ids: tuple[int, ...] = ()
    """Sent only where a user's function may ask for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The first message: all a worker needs to build its tasks when they first occur."""

    builder: str
    """``module:function``; called as ``function(name, config)`` and gives a task."""
    tasks: Mapping[str, Any]
    """Settings of each task by name."""
    rewards: Mapping[str, RewardConfig]
    """Reward settings of each task by name."""
    memory_bytes: int
    """Address space the process may take; beyond it a rule gets MemoryError. 0 sets no limit."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All completions of one prompt."""

    kind: Literal["score", "diagnose"]
    prompt: Prompt
    jobs: tuple[Job, ...]
    settled: frozenset[int] = frozenset()
    """Numbers of completions that were answered before; they are here for the functions that see whole groups."""
    prepared: bool = True
    """The task is shown the group first; not where it was before, and its process had to be stopped."""

    @property
    def due(self) -> tuple[Job, ...]:
        """Completions that want an answer."""
        return tuple(job for job in self.jobs if job.number not in self.settled)
