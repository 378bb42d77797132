"""Next-token training: documents or prompt-and-response pairs, packed, one update a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from r1kit.loops.settings import Schedule
from r1kit.maths.policy_loss import supervised_loss
from r1kit.update.learner import Batch, Learner
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

__all__ = ["Supervised", "train"]


class Supervised(Protocol):
    """What the loop reads of a stage's config."""

    @property
    def steps(self) -> int: ...
    @property
    def log_every(self) -> int: ...
    @property
    def optimiser(self) -> OptimiserSettings: ...
    @property
    def schedule(self) -> Schedule: ...


def train(config: Supervised, batch_of: Callable[[int], Batch], learner: Learner, workspace: Workspace) -> None:
    """``batch_of(step)`` must be a pure function of the step: that is what makes a killed run go on bit for bit."""
    began, tokens = time.monotonic(), 0.0

    def rate(step: int, steps: int) -> float:
        return config.schedule.rate(step, steps, config.optimiser.lr)

    for step in workspace.steps(config.steps, learner, rate):
        lr = rate(step, config.steps)
        metrics = learner.update(batch_of(step), supervised_loss, lr)
        tokens += metrics["tokens"]
        workspace.spend(trained=metrics["tokens"])
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            speed = tokens / (time.monotonic() - began)
            workspace.log(step + 1, {**metrics, "lr": lr, "tokens_per_second": speed})
            began, tokens = time.monotonic(), 0.0
