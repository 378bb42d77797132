"""A generative judge: a model that compares an answer with the reference (R1 paper v2, B.3.3 and listing 4).

It analyses first, then writes JSON with ``analysis`` and ``correctness`` (``verdict.py`` reads it). What holds no
verdict is asked once more and then left out. What it does not cover: a judge that is wrong, or that an answer talks
round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from r1kit.factory.asking import Asking, filled
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

    def as_counts(self) -> dict[str, int]:
        return {"judge_asked": self.asked, "judge_no_json": self.no_json, "judge_left_out": self.left_out}


class GenerativeJudge(Asking):
    def __init__(
        self, engine: Engine, encode: Callable[[str], Sequence[int]], sampling: Sampling, prompt: str = JUDGE,
        read: Callable[[str], str] = in_tags,
    ) -> None:  # fmt: skip
        super().__init__(engine, encode, sampling, read)
        self._prompt, self.tally = prompt, Tally()

    def verdicts(self, questions: Sequence[Question], seeds: Sequence[int]) -> list[Verdict | None]:
        """One verdict a question, in order; None where two answers held no JSON."""
        found = self._verdicts(questions, seeds)
        again = [at for at, verdict in enumerate(found) if verdict is None]
        second = self._verdicts([questions[at] for at in again], [seeds[at] ^ 1 for at in again])
        for at, verdict in zip(again, second, strict=True):
            found[at] = verdict
        self.tally.asked += len(questions)
        self.tally.no_json += len(again)
        self.tally.left_out += sum(verdict is None for verdict in second)
        return found

    def _verdicts(self, questions: Sequence[Question], seeds: Sequence[int]) -> list[Verdict | None]:
        asked = [filled(self._prompt, question=q.question, reference=q.reference, answer=q.answer) for q in questions]
        return [read_verdict(answer.text) for answer in self.ask(asked, seeds)]
