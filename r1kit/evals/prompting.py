"""Prompts that ask otherwise: paraphrases drawn by seed, and what an evaluation in many of them says."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from r1kit.records import Prompt
from r1kit.rollout.streams import stream_seed
from r1kit.text.paraphrases import paraphrased

__all__ = ["Paraphrasing", "sensitivity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paraphrasing:
    """Token ids of a prompt that is asked in one of several ways; which one follows from the seed and the prompt."""

    texts: Sequence[str]
    """Each with ``{question}``."""
    seed: int
    render: Callable[[Prompt], Sequence[int]]

    def __call__(self, prompt: Prompt) -> Sequence[int]:
        text = self.texts[stream_seed(self.seed, "paraphrase", prompt.id) % len(self.texts)]
        return self.render(replace(prompt, question=paraphrased(text, prompt.question)))


def sensitivity(averages: Mapping[str, float]) -> dict[str, float]:
    """Lowest, mean, and spread of a model's accuracy over templates: highest less lowest, and the deviation.

    Args:
        averages: template -> accuracy on the same problems.
    """
    values = list(averages.values())
    return {
        "worst_template": min(values),
        "mean_template": statistics.fmean(values),
        "template_spread": max(values) - min(values),
        "template_std": statistics.pstdev(values),
    }
