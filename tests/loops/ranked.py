"""What a rank of a test does; each function gets its ``Ranks`` first and returns something to pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.loops.settings import RL

from .toy import ToyTask, toy


def train_toy(ranks: Ranks, folder: str, config: RL) -> Tensor:
    one = toy(Path(folder), ranks)
    one.train(config)
    return one.learner.flat.master


def curriculum_toy(ranks: Ranks, folder: str, config: RL) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """What a rank has learnt of its prompts, and which ones were asked last; the toy task has six questions."""
    ToyTask.questions = 6
    one = toy(Path(folder), ranks)
    one.train(config)
    return one.workspace.kept, sorted(one.workspace.cursor.items())
