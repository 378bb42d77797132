"""A model that a command talks to, loaded: ``r1 chat``, ``r1 write-tests``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from r1kit.commands.arguments import Subject
    from r1kit.rollout.engine import Engine

__all__ = ["Opened", "open_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    engine: Engine
    encode: Callable[[str], Sequence[int]]
    """A question in the subject's template -> token ids."""
    positions: int
    """Most tokens of a prompt and its completion."""
    folder: Path
    """Of the weights."""


def open_model(subject: Subject, rows: int) -> Opened:
    """On all cores or the GPU, for ``rows`` completions side by side."""
    import torch

    from r1kit.backends.backend import backend_of
    from r1kit.launcher import cores

    torch.set_num_threads(cores())
    backend = backend_of(subject.recipe)
    loaded = backend.load(subject.name)
    assert loaded.folder is not None
    return Opened(
        engine=backend.open_engine(loaded, dtype="auto", max_rows=rows),
        encode=loaded.encode,
        positions=loaded.positions,
        folder=loaded.folder,
    )
