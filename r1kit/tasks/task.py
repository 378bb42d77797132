"""The task protocol: where prompts come from and the rule that judges an answer. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from r1kit.records import Prompt

__all__ = ["Grade", "Split", "Task"]

Split = Literal["dev", "test"]


@dataclass(frozen=True, slots=True)
class Grade:
    correct: float
    """1 right, 0 wrong; a generator's own partial credit lies between."""
    canonical: str
    """The answer in a form in which equal answers are equal strings, for majority voting."""


class Task(Protocol):
    name: str

    def train(self, index: int) -> Prompt:
        """Training prompt number ``index`` of an endless stream: a pure function of the task's settings and index."""
        ...

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The fixed prompts of a split; none of them, nor an equivalent one, is ever in ``train`` or a corpus."""
        ...

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """Judge an answer already taken out of a completion. Runs in a verifier process with a deadline."""
        ...

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """Per-completion quantities worth averaging in an evaluation (number of tries, valid number use ...)."""
        ...
