"""The part ``length``: of a problem's right answers the shorter earn more (Kimi k1.5, 2501.12599, section 2.3.3).

It compares the completions of a group, so it is known once all of them are judged: alone, a completion earns 0 by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from r1kit.maths.length import length_rewards
from r1kit.records import Group, Prompt, Score
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark, Ours
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.task import Task

__all__ = ["Length", "with_length"]


class Length(Ours):
    """Of one completion, before the others are judged."""

    def __init__(self, config: RewardConfig, task: Task) -> None:
        pass

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        return [Mark(0.0) for _ in jobs]


def with_length(group: Group, scores: Sequence[Score], config: RewardConfig) -> list[Score]:
    """A group's scores with the part ``length``, where the reward has it. What could not be judged keeps its 0."""
    if "length" not in config.parts:
        return list(scores)
    lengths = [len(completion.token_ids) for completion in group.completions]
    right = [score.status == "ok" and score.parts.get("accuracy", 0.0) >= 1.0 for score in scores]
    rewards = length_rewards(lengths, right, config.length_rule)
    return [
        replace(score, total=score.total + config.parts["length"] * reward, parts={**score.parts, "length": reward})
        if score.status == "ok"
        else score
        for score, reward in zip(scores, rewards, strict=True)
    ]
