"""The overlong penalty: a completion near its limit loses up to 1 (DAPO, 2503.14476, equation 13)."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.maths.length import soft_overlong
from r1kit.records import Prompt
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark, Ours
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.task import Task

__all__ = ["Overlong"]


class Overlong(Ours):
    """Between -1 and 0."""

    def __init__(self, config: RewardConfig, task: Task) -> None:
        self.longest, self.window = config.max_tokens, config.overlong_window

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        return [Mark(soft_overlong(job.length, self.longest, self.window)) for job in jobs]
