"""The task contract: where prompts come from and the rule that judges an answer, written once. No torch here.

Three methods make a task: ``train``, ``held_out`` and ``grade``. The others have defaults; a task of ours inherits
them from ``Task``, a user's class may leave them out. A class that a recipe's ``kind`` names has a frozen ``Config``
and is built as ``cls(name, config)``; a user's class may have its settings in other ways (``tasks/user.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from r1kit.records import Labelled, Pair, Prompt, Sample

__all__ = ["By", "Claims", "Grade", "Offer", "Split", "Task"]

Split = Literal["dev", "test"]
Offer = Literal["worked_example", "good_samples", "preference_pairs", "safety_labels"]
"""A part of the contract that not every task has."""
By = Literal["grade", "diagnose"]
"""The method that is about to judge."""


@dataclass(frozen=True, slots=True)
class Grade:
    correct: float
    """1 right, 0 wrong; a generator's own partial credit lies between."""
    canonical: str
    """The answer in a form in which equal answers are equal strings, for majority voting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Names of diagnostics that say what a chain claims; the gate before RL asks whether a base's claims hold.

    A diagnostic that a task does not give is not looked at.
    """

    tries: str = "tries"
    """How many candidates the chain tries."""
    hit: str = "claims_hit"
    """1 where the chain says that it has found the answer."""
    right: str = "answer_right"
    """1 where the final answer is right however it is written: a base that seldom writes tags is still judged."""
    valid: str = "valid_answer"
    """1 where the final answer keeps the task's rules, right or wrong."""
    keeping: str = "keep the task's rules"
    """What an answer that is valid does, for a sentence: ``only 40% of answers keep the task's rules``."""


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

    reads: Literal["answer", "completion"] = "answer"
    """What ``grade`` is given: the final answer as the reward's style finds it, or the whole completion."""

    graded: bool = True
    """Whether an answer is right or wrong; False: prompts alone, for reward models and rewards of the user's own."""

    # ---- with a default ---------------------------------------------------------------------------------------------

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """Per-completion quantities worth averaging in an evaluation (number of tries, valid number use ...)."""
        return {}

    def prepare(self, prompt: Prompt, given: Sequence[str], by: By) -> Iterable[None] | None:
        """Work on a whole group at once, before it is judged one by one: what is cached here is found there.

        It only saves time. Each ``yield``, of which ``len(given)`` are waited for, starts the deadline of one
        completion anew; if it takes longer, raises, or takes its process down, no completion is blamed and the group
        is judged without it.

        Args:
            given: what ``by`` will be given with this prompt, a string a completion; equal ones occur.
            by: asks next.
        """
        return None

    def listed(self) -> Sequence[Prompt]:
        """The prompts to train on, where they are all there at once; none for a stream."""
        return ()

    @property
    def levels(self) -> int:
        """Levels of difficulty that training can climb, from 0; 0 of them: the task has none."""
        return 0

    def train_at(self, index: int, level: int) -> Prompt:
        """As ``train``, of one of the ``levels``."""
        raise LookupError(f"task {self.name!r} has no levels")

    @property
    def claims(self) -> Claims:
        """What the diagnostics stand for."""
        return Claims()

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that its prompts may be in, ISO 639-1."""
        return ("en",)

    def asked(self, text: str) -> Prompt | None:
        """A question of the user's own as a prompt that ``grade`` can judge; None if it is not one of this task."""
        return None

    def about(self) -> Sequence[str]:
        """What it read its prompts from and what it took as what, a line each, for ``r1 tasks``."""
        return ()

    def doubts(self) -> Sequence[str]:
        """What is wrong with its prompts and yet no reason to refuse them, a line each, for ``r1 check`` and a run."""
        return ()

    def check(self) -> None:
        """Raise MissingError or InputError if something that judging needs, such as the sandbox, is not there."""
        return

    # ---- offered by some --------------------------------------------------------------------------------------------

    @property
    def offers(self) -> frozenset[Offer]:
        """Which of the methods below this task has."""
        return frozenset()

    def worked_example(self, language: str, shot: int, longest: int, seed: int) -> Sample:
        """A question with a long chain that reaches its answer, of at most ``longest`` words; no stage asks it.

        Raises:
            InputError: none is that short.
        """
        raise LookupError(f"task {self.name!r} writes no worked examples")

    def good_samples(self, count: int, seed: int) -> list[Sample]:
        """Questions with good responses, for supervised fine-tuning on what is not reasoning."""
        raise LookupError(f"task {self.name!r} writes no good samples")

    def preference_pairs(self, count: int, seed: int, options: Mapping[str, Any]) -> list[Pair]:
        """Pairs of responses to training prompts; the task's own ``options`` come from the recipe.

        Raises:
            InputError: an unknown option or a value that does not fit.
        """
        raise LookupError(f"task {self.name!r} writes no preference pairs")

    def safety_labels(self, count: int, seed: int, options: Mapping[str, Any]) -> list[Labelled]:
        """Labelled responses to training prompts; raises as ``preference_pairs`` does."""
        raise LookupError(f"task {self.name!r} writes no safety labels")
