"""The accuracy reward: the final answer is right by the task's own rule (R1 paper, section 2.2; v2, equation 4)."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.records import Prompt
from r1kit.reward.extract import extract_answer, survives_truncation
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark, Ours
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.task import Task
from r1kit.text.seen import unclosed

__all__ = ["Accuracy"]

CANONICAL_LIMIT = 1000
"""Longest canonical answer kept, in characters; a longer one counts as no answer."""


class Accuracy(Ours):
    """1 if the task grades the answer 1, else 0, or the task's own partial credit where that is paid. It abstains where
    the task grades nothing."""

    def __init__(self, config: RewardConfig, task: Task) -> None:
        self.config, self.task = config, task
        self.where = getattr(task, "where", "")
        self._graded = getattr(task, "graded", True)

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        return [self._mark(prompt, job) for job in jobs]

    def answer(self, job: Job) -> str | None:
        """What the task is asked to grade; None where there is nothing, which is wrong."""
        if not self._graded:
            return None
        style = self.config.answer_style
        whole = getattr(self.task, "reads", "answer") == "completion"
        cut = job.finish != "stop" and (self.config.truncated == "zero" or not (whole or survives_truncation(style)))
        if cut or (not whole and style != "tag" and unclosed(job.text)):  # what is only thought is no answer
            return None
        return job.text if whole else extract_answer(job.text, style)

    def _mark(self, prompt: Prompt, job: Job) -> Mark:
        answer = self.answer(job)
        if answer is None:
            return Mark(0.0 if self._graded else None)
        grade = self.task.grade(prompt, answer)
        correct = min(1.0, max(0.0, float(grade.correct)))
        value = correct if self.config.partial_credit else float(correct >= 1.0)
        return Mark(value, answer=grade.canonical if len(grade.canonical) <= CANONICAL_LIMIT else None)
