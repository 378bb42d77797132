"""What a rank of a test does; each function gets its ``Ranks`` first and returns something to pickle."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.loops import rl
from r1kit.loops.settings import RL
from r1kit.maths.loss_terms import TokenLoss
from r1kit.records import Group, Score
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.update.learner import Batch
from r1kit.update.local import LocalLearner

from .apart import Apart
from .toy import ToyScorer, ToyTask, policy_of, toy


def train_toy(ranks: Ranks, folder: str, config: RL) -> Tensor:
    one = toy(Path(folder), ranks)
    one.train(config)
    return one.learner.flat.master


def train_apart(ranks: Ranks, folder: str, config: RL) -> Tensor:
    """``train_toy`` whose engine is apart, and as slow as its rank."""
    one = toy(Path(folder), ranks)
    engine = Apart(
        LocalEngine(one.learner.flat.model, CodePoints(), end_ids=[0]),  # type: ignore[arg-type]
        lambda: 0.01 * ranks.rank,
    )
    rl.train(config, policy_of(one.workspace, engine, one.learner, one.scorer, one.evaluator))
    return one.learner.flat.master


def curriculum_toy(ranks: Ranks, folder: str, config: RL) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """What a rank has learnt of its prompts, and which ones were asked last; the toy task has six questions."""
    ToyTask.questions = 6
    one = toy(Path(folder), ranks)
    one.train(config)
    return one.workspace.kept, sorted(one.workspace.cursor.items())


class Telling(Ranks):
    """Ranks that note how many bytes each rank's words have, pickled."""

    def __init__(self, ranks: Ranks) -> None:
        self.inner, self.rank, self.size = ranks, ranks.rank, ranks.size
        self.sent: list[int] = []

    def gather_objects(self, item: Any) -> list[Any]:
        self.sent.append(len(pickle.dumps(item)))
        return self.inner.gather_objects(item)

    def collect_objects(self, item: Any) -> list[Any]:
        return self.inner.collect_objects(item)

    def broadcast_object(self, item: Any) -> Any:
        self.sent.append(len(pickle.dumps(item)))
        return self.inner.broadcast_object(item)

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        return self.inner.all_reduce_sum_(tensor)

    def close(self) -> None:
        self.inner.close()


class SharingLearner(LocalLearner):
    """The local learner's arithmetic on each rank's own rows."""

    shares = True

    def update(self, batch: Batch, loss: TokenLoss, lr: float) -> dict[str, float]:
        assert batch.sharded
        return super().update(batch, loss, lr)


class Complaining(ToyScorer):
    """Every score names a fault of the user's file."""

    def one(self, group: Group, tokens: Sequence[int]) -> Score:
        return replace(super().one(group, tokens), cause="my.py:12: KeyError: 'a'")


def train_sharing(ranks: Ranks, folder: str, config: RL, flat: frozenset[str]) -> list[list[Any]]:
    """Of every aggregate, held whole and shared: weights, what was told to the user, most bytes that this rank told
    the others at once, and what is kept."""
    found = []
    for aggregate in ("sequence-mean", "token-mean", "constant"):
        pair: list[Any] = []
        for share in (False, True):
            telling, said = Telling(ranks), []
            one = toy(Path(folder) / f"{aggregate}_{share}", telling, Complaining(flat))
            one.workspace.say = said.append
            if share:
                one.learner.__class__ = SharingLearner
            one.train(replace(config, loss=replace(config.loss, aggregate=aggregate)))
            kept = {**one.workspace.kept, **one.workspace.cursor}
            pair.append((one.learner.flat.master, said, max(telling.sent), kept))
        found.append(pair)
    return found
