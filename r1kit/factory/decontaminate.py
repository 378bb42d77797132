"""N-gram overlap with every evaluation prompt (R1 paper v2: 10-grams of evaluation questions, pre- and post-training).

Texts are compared as words: Unicode forms, case, spaces, punctuation, commas within numbers, the dollar signs and
backslashes of LaTeX, the sizes of its fractions, tags, and what marks a list, a quotation or emphasis make no
difference; signs of arithmetic are words. What it does not see: paraphrases, translations, other numbers, and a
question of fewer than n words in the middle of a longer sentence, but after a colon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from r1kit.records import Sample
from r1kit.tasks.split import evened
from r1kit.tasks.task import Task

__all__ = ["EvaluationPrompts", "evaluation_prompts", "texts_of", "words"]

_ONE = "\\u3041-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff"
_DROPPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))|(?<=\w)['’](?=\w)|\*\*|__|\\(?:left|right|displaystyle|[,;!])")
_INLINE = re.compile(r"</?(?:b|i|u|em|strong|span|sub|sup|code|a)>")
_TAG = re.compile(r"</?(?!think|answer)[a-z][\w-]*>|\[/?inst\]", re.IGNORECASE)
"""What a page or a prompt puts around a question or a part of it; those of a response's form stay."""
_FRACTION = re.compile(r"\\[dtc]?frac(?![a-z])(?:\s*(\d)\s*(\d))?")
_LABEL = r"(?:(?:example|problem|question|exercise|task|q)[ \t]*)?\(?(?:\d{1,3}|[a-z])[.)](?=[ \t])"
_MARK = re.compile(rf"^(?:[ \t]*(?:[-*+•–—#]+(?=[ \t])|>+|{_LABEL}))+", re.MULTILINE | re.IGNORECASE)
"""What begins a line of a list or a quotation."""
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])")
_WORD = re.compile(rf"[{_ONE}]|\d+(?:\.\d+)?|[^\W\d_{_ONE}]+|(?<![^\W\d_])-|-(?![^\W\d_])|[+*/=<>^%]")
"""A Han character or a kana is a word, and so is a number, a run of letters, and a sign of arithmetic."""
_SENTENCE = re.compile(r"\n|[.?!。；;](?=\s|$|[^\d\s])")
_COLON = re.compile(r"[:：](?=\s|[^\d\s])")
_AROUND = frozenset(
    """question problem answer solution exercise task prompt instruction input output user human assistant q a please
    solve following final response 问 题 答 案 目 请""".split()  # noqa: SIM905
)
"""What may stand around a short question that is still the same question."""
_COLONS = 4
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
                short.add(_bare(words(_plain(question))) or (evened(question),))
        return cls(n, frozenset(grams), frozenset(short))

    def overlaps(self, *texts: str) -> bool:
        """Whether a text is, or has as a sentence, a short evaluation question, or n words in a row of a longer one."""
        return any(self._overlaps(text) for text in texts)

    def _overlaps(self, text: str) -> bool:
        if not self.grams.isdisjoint(_grams(words(text), self.n)):
            return True
        if not self.short:
            return False
        plain = _plain(text)
        if (_bare(words(plain)) or (evened(text),)) in self.short:
            return True
        parts = (_bare(words(part)) for sentence in _SENTENCE.split(plain) for part in _behind_colons(sentence))
        return any(len(part) >= _SENTENCE_WORDS and part in self.short for part in parts)


def evaluation_prompts(tasks: Mapping[str, Task], n: int) -> EvaluationPrompts:
    """Of every split that any task holds out."""
    held = (task.held_out(split) for task in tasks.values() for split in ("dev", "test"))  # type: ignore[arg-type]
    return EvaluationPrompts.of((prompt.question for prompts in held for prompt in prompts), n)


def texts_of(sample: Sample) -> list[str]:
    """All that a sample shows a model: earlier turns, the question, the response."""
    return [*(turn.content for turn in sample.history or ()), sample.prompt, sample.response]


def words(text: str) -> list[str]:
    """What is compared."""
    return _WORD.findall(_DROPPED.sub("", _FRACTION.sub(r"\\frac \1 \2 ", evened(_untagged(text)))))


def _plain(text: str) -> str:
    """Without the marks of lists, quotations and emphasis, a line for each part that tags stand around."""
    return _EMPHASIS.sub(r"\1", _MARK.sub("", _untagged(text).replace("**", "")))


def _untagged(text: str) -> str:
    return _TAG.sub("\n", _INLINE.sub("", text)) if "<" in text or "[" in text else text


def _behind_colons(sentence: str) -> list[str]:
    """The sentence, and what follows each of its last colons: ``Example 3: What is ...``."""
    colons = [found.end() for found in _COLON.finditer(sentence)][-_COLONS:]
    return [sentence, *(sentence[end:] for end in colons)]


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
