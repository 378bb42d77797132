"""Gradient checkpointing: of a block only what enters it is kept, and its inside is computed again on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch.utils.checkpoint import checkpoint

from r1kit.model.language_model import LanguageModel

__all__ = ["recomputing"]


@contextmanager
def recomputing(model: LanguageModel) -> Iterator[None]:
    """Forward and backward passes within it keep what enters a block alone; the gradients are the same. The model
    itself, and copies made of it before or after, know nothing of it."""
    blocks = list(model.blocks)
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
