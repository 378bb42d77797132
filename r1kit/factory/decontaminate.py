"""N-gram overlap with every evaluation prompt (R1 paper v2: 10-grams of evaluation questions, pre- and post-training).

What it does not see: paraphrases, and translations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from r1kit.tasks.split import evened
from r1kit.tasks.task import Task

__all__ = ["EvaluationPrompts", "evaluation_prompts"]

_ONE = "\\u3041-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff"
_WORD = re.compile(rf"[{_ONE}]|[^\s{_ONE}]+")
"""A Han character or a kana is a word; elsewhere a run without spaces is."""


@dataclass(frozen=True, slots=True)
class EvaluationPrompts:
    """What training text must not overlap with."""

    n: int
    """Words of an n-gram (paper: 10)."""
    grams: frozenset[tuple[str, ...]]
    short: frozenset[str]
    """Questions of fewer than n words, evened: they are matched as a whole."""

    @classmethod
    def of(cls, questions: Iterable[str], n: int) -> EvaluationPrompts:
        grams: set[tuple[str, ...]] = set()
        short: set[str] = set()
        for question in questions:
            found = _grams(question, n)
            grams.update(found)
            if not found:
                short.add(evened(question))
        return cls(n, frozenset(grams), frozenset(short))

    def overlaps(self, *texts: str) -> bool:
        """Whether a text is a short evaluation question, or shares n words in a row with a longer one."""
        return any(evened(text) in self.short or not self.grams.isdisjoint(_grams(text, self.n)) for text in texts)


def evaluation_prompts(tasks: Mapping[str, Task], n: int) -> EvaluationPrompts:
    """Of every split that any task holds out."""
    held = (task.held_out(split) for task in tasks.values() for split in ("dev", "test"))  # type: ignore[arg-type]
    return EvaluationPrompts.of((prompt.question for prompts in held for prompt in prompts), n)


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(evened(text))
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
