"""A generative judge: a model that compares an answer with the reference (R1 paper v2, B.3.3 and listing 4).

It analyses first, then writes JSON with ``analysis`` and ``correctness`` (``verdict.py`` reads it). What holds no
verdict is asked once more and then left out. What it does not cover: a judge that is wrong, or that an answer talks
round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from r1kit.factory.asking import filled
from r1kit.factory.verdict import Verdict, read_verdict
from r1kit.records import Sampling
from r1kit.rollout.engine import Engine
from r1kit.text.seen import in_tags

__all__ = ["JUDGE", "GenerativeJudge", "Question", "Tally", "Verdict", "read_verdict"]

JUDGE = (
    "You are given a question, its reference answer and an answer to judge. Analyse first: compare the reasoning and "
    "the conclusion of the answer with the reference, step by step. The answer is correct only if both agree fully "
    'with it. Then write one JSON object: {"analysis": "...", "correctness": "correct" or "incorrect"}.\n\n'
    "Question:\n{question}\n\nReference answer:\n{reference}\n\nAnswer:\n{answer}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to judge."""

    question: str
    reference: str
    answer: str
    """The whole response, or its summary."""


@dataclass(slots=True)
class Tally:
    """What a judge's answers were, over its life."""

    asked: int = 0
    no_json: int = 0
    """Questions whose first answer held no verdict; each was asked once more."""
    left_out: int = 0
    """Questions whose second answer held none either."""
    written: int = 0
    """Tokens."""

    def as_counts(self) -> dict[str, int]:
        return {"judge_asked": self.asked, "judge_no_json": self.no_json, "judge_left_out": self.left_out}


class GenerativeJudge:
    """Asks ``engine``; ``encode`` gives the token ids of an instruction, the model's template applied."""

    def __init__(
        self, engine: Engine, encode: Callable[[str], Sequence[int]], sampling: Sampling, prompt: str = JUDGE,
        read: Callable[[str], str] = in_tags,
    ) -> None:  # fmt: skip
        """``read`` puts the thinking of what it wrote into tags."""
        self._engine, self._encode, self._prompt, self._read = engine, encode, prompt, read
        self._sampling = replace(sampling, n=1)
        self.tally = Tally()

    def verdicts(self, questions: Sequence[Question], seeds: Sequence[int]) -> list[Verdict | None]:
        """One verdict a question, in order; None where two answers held no JSON."""
        found = self._ask(questions, seeds)
        again = [at for at, verdict in enumerate(found) if verdict is None]
        second = self._ask([questions[at] for at in again], [seeds[at] ^ 1 for at in again])
        for at, verdict in zip(again, second, strict=True):
            found[at] = verdict
        self.tally.asked += len(questions)
        self.tally.no_json += len(again)
        self.tally.left_out += sum(verdict is None for verdict in second)
        return found

    def _ask(self, questions: Sequence[Question], seeds: Sequence[int]) -> list[Verdict | None]:
        if not questions:
            return []
        asked = [self._encode(self._filled(question)) for question in questions]
        answers = [row[0] for row in self._engine.generate(asked, self._sampling, seeds)]
        self.tally.written += sum(len(answer.token_ids) for answer in answers)
        return [read_verdict(self._read(answer.text)) for answer in answers]

    def _filled(self, question: Question) -> str:
        return filled(self._prompt, question=question.question, reference=question.reference, answer=question.answer)
