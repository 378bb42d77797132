"""A model that a command talks to, loaded: ``r1 chat``, ``r1 write-tests``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from r1kit.commands.subject import Subject
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

    from r1kit.launcher import cores
    from r1kit.loops.policy import device_of, renderer
    from r1kit.model.load import load_model
    from r1kit.model.source import resolve_model
    from r1kit.records import Prompt
    from r1kit.rollout.hub import open_engine
    from r1kit.rollout.stopping import Tokenizer
    from r1kit.workspace import Workspace

    torch.set_num_threads(cores())
    workspace = Workspace(run=Path(), stage="command", index=0, recipe=subject.recipe)
    device, folder = device_of(workspace), resolve_model(subject.name)
    model, tokenizer = load_model(folder, torch.float32)
    render = renderer(workspace, tokenizer)
    return Opened(
        engine=open_engine(model.to(device), cast(Tokenizer, tokenizer), device=device, max_rows=rows),
        encode=lambda question: render(Prompt(id="command", task="command", question=question)),
        positions=model.config.max_positions,
        folder=folder,
    )
