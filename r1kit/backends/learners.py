"""Learners by name."""

from __future__ import annotations

import copy
from typing import Protocol

from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.update.adapted import AdaptedLearner
from r1kit.update.learner import Learner
from r1kit.update.local import LearnerSettings, LocalLearner

__all__ = ["OpenLearner", "open_fsdp", "open_local"]


class OpenLearner(Protocol):
    """What a name in ``backends.LEARNERS`` stands for."""

    def __call__(self, loaded: LoadedModel, settings: LearnerSettings, ranks: Ranks) -> Learner:
        """A learner that takes the model over, the same weights on every rank."""
        ...


def open_local(loaded: LoadedModel, settings: LearnerSettings, ranks: Ranks) -> Learner:
    """The whole model on every rank, the gradient summed over them: of every weight, or of an adapter's."""
    if settings.lora.rank:
        return AdaptedLearner(loaded.model, settings, ranks, base=str(loaded.folder or ""))
    return LocalLearner(loaded.model, settings, ranks)


def open_fsdp(loaded: LoadedModel, settings: LearnerSettings, ranks: Ranks) -> Learner:
    """Weights, gradient, optimiser and reference shared out over the ranks."""
    from r1kit.update.sharded import ShardedLearner  # torch.distributed's parts take their time to import

    model = loaded.model
    if model.head.is_meta:  # it holds nothing, and engines still ask it for its shape
        model = copy.deepcopy(model)
        model.generation = loaded.model.generation
    return ShardedLearner(model, settings, ranks, loaded.stored, loaded.device)
