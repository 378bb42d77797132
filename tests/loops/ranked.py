"""What a rank of a test does; each function gets its ``Ranks`` first and returns something to pickle."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.loops.settings import RL

from .toy import toy


def train_toy(ranks: Ranks, folder: str, config: RL) -> Tensor:
    one = toy(Path(folder), ranks)
    one.train(config)
    return one.learner.flat.master
