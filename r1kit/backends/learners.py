"""Learners by name, and how a checkpoint leaves one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.model.fallback import save_model
from r1kit.update.learner import Learner
from r1kit.update.local import LearnerSettings, LocalLearner

__all__ = ["OpenLearner", "export", "open_local"]


class OpenLearner(Protocol):
    """What a name in ``backends.LEARNERS`` stands for."""

    def __call__(self, loaded: LoadedModel, settings: LearnerSettings, ranks: Ranks) -> Learner:
        """A learner that takes the model over, the same weights on every rank."""
        ...


def open_local(loaded: LoadedModel, settings: LearnerSettings, ranks: Ranks) -> Learner:
    """The whole model on every rank, the gradient summed over them."""
    return LocalLearner(loaded.model, settings, ranks)


def export(learner: Learner, loaded: LoadedModel, folder: Path, ranks: Ranks) -> None:
    """Write what the learner has learnt as a hub-format folder; every rank calls it."""
    assert isinstance(learner, LocalLearner), f"{type(learner).__name__} has no export"
    if ranks.rank == 0:
        save_model(folder, learner.flat.model, loaded.tokenizer)
    ranks.broadcast_object(None)
