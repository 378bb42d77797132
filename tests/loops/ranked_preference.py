"""What a rank of a test does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.loops import preference

from .test_preference import Config, pairs, place, trained, weights_of


def train_pairs(ranks: Ranks, policy: str, folder: str, config: Config) -> tuple[list[Tensor], dict[str, Any]]:
    workspace = place(Path(folder), ranks)
    model = trained(Path(policy), "summary", pairs(50, seed=1), workspace, config)
    return weights_of(model), preference.held_out(model, pairs(20, seed=2), workspace, 4096)
