"""N-gram overlap with every evaluation prompt (R1 paper v2: 10-grams of evaluation questions, pre- and post-training).

Texts are compared as words: Unicode forms, case, spaces, punctuation, commas within numbers and the dollar signs and
backslashes of LaTeX make no difference; signs of arithmetic are words. What it does not see: paraphrases, translations,
other numbers, and a question of fewer than n words in the middle of a longer sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from r1kit.tasks.split import evened
from r1kit.tasks.task import Task

__all__ = ["EvaluationPrompts", "evaluation_prompts", "words"]

_ONE = "\\u3041-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff"
_DROPPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))|(?<=\w)['’](?=\w)|\*\*|__|\\(?:left|right|displaystyle|[,;!])")
_WORD = re.compile(rf"[{_ONE}]|\d+(?:\.\d+)?|[^\W\d_{_ONE}]+|(?<![^\W\d_])-|-(?![^\W\d_])|[+*/=<>^%]")
"""A Han character or a kana is a word, and so is a number, a run of letters, and a sign of arithmetic."""
_SENTENCE = re.compile(r"\n|[.?!。；;](?=\s|$|[^\d\s])")
_AROUND = frozenset(
    """question problem answer solution exercise task prompt instruction input output user human assistant q a please
    solve following final response 问 题 答 案 目 请""".split()  # noqa: SIM905
)
"""What may stand around a short question that is still the same question."""
_SENTENCE_WORDS = 4
"""From how many words on a short question is looked for among the sentences and lines of a text."""


@dataclass(frozen=True, slots=True)
class EvaluationPrompts:
    """What training text must not overlap with."""

    n: int
    """Words of an n-gram (paper: 10)."""
    grams: frozenset[tuple[str, ...]]
    short: frozenset[tuple[str, ...]]
    """Questions of fewer than n words: they are matched as a whole, as a text or as a line or sentence of one."""

    @classmethod
    def of(cls, questions: Iterable[str], n: int) -> EvaluationPrompts:
        grams: set[tuple[str, ...]] = set()
        short: set[tuple[str, ...]] = set()
        for question in questions:
            found = words(question)
            grams.update(_grams(found, n))
            if len(found) < n:
                short.add(_bare(found) or (evened(question),))
        return cls(n, frozenset(grams), frozenset(short))

    def overlaps(self, *texts: str) -> bool:
        """Whether a text is, or has as a sentence, a short evaluation question, or n words in a row of a longer one."""
        return any(self._overlaps(text) for text in texts)

    def _overlaps(self, text: str) -> bool:
        found = words(text)
        if not self.grams.isdisjoint(_grams(found, self.n)) or (_bare(found) or (evened(text),)) in self.short:
            return True
        sentences = (_bare(words(part)) for part in _SENTENCE.split(text)) if self.short else ()
        return any(len(part) >= _SENTENCE_WORDS and part in self.short for part in sentences)


def evaluation_prompts(tasks: Mapping[str, Task], n: int) -> EvaluationPrompts:
    """Of every split that any task holds out."""
    held = (task.held_out(split) for task in tasks.values() for split in ("dev", "test"))  # type: ignore[arg-type]
    return EvaluationPrompts.of((prompt.question for prompts in held for prompt in prompts), n)


def words(text: str) -> list[str]:
    """What is compared."""
    return _WORD.findall(_DROPPED.sub("", evened(text)))


def _bare(found: list[str]) -> tuple[str, ...]:
    """The words without those that may stand around a question."""
    start, end = 0, len(found)
    while start < end and found[start] in _AROUND:
        start += 1
    while start < end and found[end - 1] in _AROUND:
        end -= 1
    return tuple(found[start:end])


def _grams(found: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(found[at : at + n]) for at in range(len(found) - n + 1)]
