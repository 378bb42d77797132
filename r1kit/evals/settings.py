"""Settings of an evaluation as recipes hold them. No numpy here: ``r1 check`` reads this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from r1kit.errors import InputError
from r1kit.records import Sampling

__all__ = ["EvaluationConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """What is evaluated and how completions are drawn. Defaults are the in-loop ones, ``final`` is the paper's."""

    tasks: tuple[str, ...] = ()
    """Tasks to evaluate; empty means all of the stage's."""
    k: int = 16
    """Completions a problem."""
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 0
    """Longest completion, in tokens; 0 takes the stage's own."""
    limit: int | None = None
    """Use only the first so many problems of the split; None for all."""
    split: Literal["dev", "test"] = "dev"
    """Settings are chosen on ``dev``; ``test`` is for the final number."""
    budgets: tuple[int, ...] = (25, 40, 60, 80, 110, 140, 170)
    """Token budgets for accuracy under a budget."""
    easy_rate: float = 0.75
    """A problem is easy where at least this share of its completions is right: what over-thinking is measured on."""
    easy_fact: str = ""
    """A number that every problem has, such as ``level``, to say it instead; empty: none."""
    easy_most: float = 1.0
    """Highest value of ``easy_fact`` that is easy."""
    resamples: int = 1000
    """Bootstrap draws for the intervals."""
    seed: int = 0
    """Of the bootstrap; completions are drawn from the run's seed."""

    def __post_init__(self) -> None:
        for key, least in (("k", 1), ("max_tokens", 0), ("limit", 1), ("resamples", 1)):
            if (value := getattr(self, key)) is not None and value < least:
                raise InputError(f"an evaluation's {key} = {value}: must be at least {least}")
        if not self.temperature >= 0 or not 0 < self.top_p <= 1:
            raise InputError(
                f"an evaluation's temperature = {self.temperature} and top_p = {self.top_p}: from 0 on, and in (0, 1]"
            )
        if not 0 < self.easy_rate <= 1:
            raise InputError(f"evaluation.easy_rate = {self.easy_rate}; allowed is above 0, up to 1")

    @classmethod
    def final(cls, **settings: Any) -> EvaluationConfig:
        """The paper's final protocol: temperature .6 and top-p .95 on the test split; ``settings`` override."""
        return cls(**{"temperature": 0.6, "top_p": 0.95, "split": "test", **settings})

    def draws(self, training: Sampling) -> Sampling:
        """How completions are drawn: stop strings, and a length that is not set here, are those of the training."""
        return Sampling(
            n=self.k,
            max_tokens=self.max_tokens or training.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=training.stop,
        )
