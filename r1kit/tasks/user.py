"""A task of the user's own, from ``FILE.py:NAME`` or ``package.module:NAME``.

==========================================================  =====================================================
a class with ``train(index)``, ``held_out(split, limit)``   its settings are its dataclass fields or annotations,
and ``grade(prompt, answer)``                               keyword arguments of ``__init__``, or a ``Config``
a function that yields prompts                              its settings are its keyword arguments; the prompts are
                                                            split by a hash, as the lines of a JSONL file are
==========================================================  =====================================================

A prompt is a ``Prompt``, a mapping ``{"prompt": ..., "answer": ...}`` or a pair ``(question, answer)``. Whatever the
code raises is told as one line that begins with its own file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from r1kit.data.several import several
from r1kit.errors import InputError, R1Error
from r1kit.records import Labelled, Pair, Prompt, Sample, with_own_facts
from r1kit.registry import short, split_reference
from r1kit.structure import scalar
from r1kit.tasks.rules import graded
from r1kit.tasks.split import own_cluster
from r1kit.tasks.task import By, Claims, Grade, Offer, Split, Task
from r1kit.users_code import blame

MOST_HELD_OUT = 1_000_000
"""Prompts of a split; a function that gives so many is taken for one that never ends."""

__all__ = ["UserCodeError", "UserTask", "as_prompt", "calling", "equal_to_reference", "spelled"]

OFFERS: tuple[Offer, ...] = ("worked_example", "good_samples", "preference_pairs", "safety_labels")
_PROMPT_KEYS = ("prompt", "question", "answer", "id", "language", "cluster")
_T = TypeVar("_T")


class UserCodeError(InputError):
    """What the user's code raised, as a line that begins with its own file and line."""


class UserTask(Task):
    """The contract around an object of the user's class: its parts are asked for by name, the rest has our defaults."""

    def __init__(self, name: str, own: Any, reference: str) -> None:
        self.name = name
        self._own, self._reference = own, reference
        self.reads = getattr(own, "reads", "answer")
        self.where = short(reference)
        """For messages: ``my_task.py:Sums``."""

    def train(self, index: int) -> Prompt:
        given = self._call("train", index)
        return as_prompt(given, self.name, f"{self.name}/train/{index}", f"{short(self._reference)}.train")

    @property
    def levels(self) -> int:
        given = getattr(self._own, "levels", 0)
        if not isinstance(given, int) or given < 0:
            raise InputError(f"{short(self._reference)}.levels is {spelled(given)}; it is a number of levels")
        return given if self._has("train_at") else 0

    def train_at(self, index: int, level: int) -> Prompt:
        where = f"{short(self._reference)}.train_at"
        return as_prompt(self._call("train_at", index, level), self.name, f"{self.name}/train/{index}/{level}", where)

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        given = self._call("held_out", split, limit)
        where = f"{short(self._reference)}.held_out"
        if not isinstance(given, Iterable) or isinstance(given, (str, Mapping, Prompt)):
            raise InputError(f"{where}({split!r}) gave {spelled(given)}; it gives a list of prompts")
        most = MOST_HELD_OUT if limit is None else limit
        found = calling(self._reference, lambda: list(islice(given, most)))
        if len(found) == MOST_HELD_OUT:
            raise InputError(f"{where}({split!r}) gave {MOST_HELD_OUT:,} prompts and more; a split has an end")
        if not found:
            raise InputError(f"{where}({split!r}) gave no prompt; evaluations of that split need some")
        return [as_prompt(one, self.name, f"{self.name}/{split}/{place}", where) for place, one in enumerate(found)]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """The user's ``grade``; without one, equal to the reference as mathematics, else as text."""
        if not callable(getattr(self._own, "grade", None)):
            return equal_to_reference(prompt, answer, short(self._reference))
        given = self._call("grade", with_own_facts(prompt), answer)
        return as_grade(given, answer, f"{short(self._reference)}.grade")

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        found: Mapping[str, float] = self._call("diagnose", prompt, text) if self._has("diagnose") else {}
        return found

    def prepare(self, prompt: Prompt, given: Sequence[str], by: By) -> Iterable[None] | None:
        steps: Iterable[None] | None = self._call("prepare", prompt, given, by) if self._has("prepare") else None
        return steps

    @property
    def claims(self) -> Claims:
        found: Claims = self._own.claims if hasattr(self._own, "claims") else Claims()
        return found

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(getattr(self._own, "languages", ("en",)))

    def asked(self, text: str) -> Prompt | None:
        given = self._call("asked", text) if self._has("asked") else None
        return given and as_prompt(given, self.name, f"{self.name}/asked", f"{short(self._reference)}.asked")

    def check(self) -> None:
        if self._has("check"):
            self._call("check")

    @property
    def offers(self) -> frozenset[Offer]:
        own = getattr(self._own, "offers", None)
        return frozenset(own if own is not None else (offer for offer in OFFERS if self._has(offer)))

    def worked_example(self, language: str, shot: int, longest: int, seed: int) -> Sample:
        found: Sample = self._call("worked_example", language, shot, longest, seed)
        return found

    def good_samples(self, count: int, seed: int) -> list[Sample]:
        return list(self._call("good_samples", count, seed))

    def preference_pairs(self, count: int, seed: int, options: Mapping[str, Any]) -> list[Pair]:
        return list(self._call("preference_pairs", count, seed, options))

    def safety_labels(self, count: int, seed: int, options: Mapping[str, Any]) -> list[Labelled]:
        return list(self._call("safety_labels", count, seed, options))

    def _has(self, name: str) -> bool:
        return callable(getattr(self._own, name, None))

    def _call(self, name: str, *arguments: Any) -> Any:
        return calling(self._reference, lambda: getattr(self._own, name)(*arguments))


def calling(reference: str, work: Callable[[], _T]) -> _T:
    """What the user's code gives.

    Raises:
        UserCodeError: it raised; ``my_task.py:12: ZeroDivisionError: division by zero``.
    """
    try:
        return work()
    except R1Error:
        raise
    except (Exception, SystemExit) as error:
        place, _ = split_reference(reference)
        folder = Path(place).absolute().parent if place.endswith(".py") else _package_folder(place)
        raise UserCodeError(blame(error, folder)) from error


def _package_folder(module: str) -> Path:
    import sys

    return Path(getattr(sys.modules.get(module), "__file__", None) or ".").absolute().parent


def as_prompt(given: Any, task: str, identity: str, where: str) -> Prompt:
    """What the user's code gave as a prompt, with what it left out filled in.

    Raises:
        InputError: it is none.
    """
    if isinstance(given, Prompt):
        prompt = given
    elif isinstance(given, Mapping):
        prompt = _from_mapping(given, where)
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        prompt = Prompt(question=given[0], **_answers(given[1]))
    else:
        raise InputError(
            f"{where} gave {spelled(given)}; a prompt is a Prompt, a mapping with 'prompt' and 'answer', or a pair "
            f"(question, answer)"
        )
    if not isinstance(prompt.question, str) or not prompt.question.strip():
        raise InputError(f"{where} gave a prompt whose question is {spelled(prompt.question)}; it must be text")
    if prompt.answer is not None and not isinstance(prompt.answer, str):
        raise InputError(f"{where} gave a prompt whose answer is {spelled(prompt.answer)}; it must be text, or None")
    if not isinstance(prompt.also, (tuple, list)) or not all(isinstance(each, str) for each in prompt.also):
        raise InputError(f"{where} gave a prompt whose also is {spelled(prompt.also)}; it must be a tuple of texts")
    return replace(
        prompt,
        also=tuple(prompt.also),
        id=prompt.id or identity,
        task=task,
        cluster=prompt.cluster or own_cluster(prompt.question, prompt.history),
    )


def _from_mapping(table: Mapping[Any, Any], where: str) -> Prompt:
    question = table.get("prompt", table.get("question"))
    if question is None:
        given = ", ".join(map(repr, table)) or "none"
        raise InputError(
            f"{where} gave a mapping with the keys {given}; it needs 'prompt', and 'answer' where there is one"
        )
    named = {key: str(table[key]) for key in ("id", "language", "cluster") if table.get(key) is not None}
    return Prompt(
        id=named.get("id", ""),
        question=question,
        **_answers(table.get("answer")),
        language=named.get("language", "en"),
        cluster=named.get("cluster", ""),
        facts={str(key): value for key, value in table.items() if key not in _PROMPT_KEYS},
    )


def _answers(value: Any) -> dict[str, Any]:
    """``answer`` and ``also`` of a prompt: any of a list of texts is right. Numbers count as text, numpy's too."""
    if found := several(value):
        return {"answer": found[0], "also": found[1:]}
    value = scalar(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"answer": str(value) if is_number else value}


def as_grade(given: Any, answer: str, where: str) -> Grade:
    """What the user's code gave as a grade: a number from 0 to 1, True or False, or a ``Grade``.

    Raises:
        InputError: it is none.
    """
    correct = scalar(given.correct if isinstance(given, Grade) else given)
    if not isinstance(correct, (int, float)) or not 0 <= correct <= 1:
        raise InputError(f"{where} gave {spelled(given)}; a grade is a number from 0 (wrong) to 1 (right), or a Grade")
    canonical = given.canonical if isinstance(given, Grade) else " ".join(answer.split())
    return Grade(correct=float(correct), canonical=canonical)


def equal_to_reference(prompt: Prompt, answer: str, where: str) -> Grade:
    """1 if the answer is the reference as mathematics, or else as text."""
    if prompt.answer is None:
        raise InputError(
            f"{where} has no grade, and prompt {prompt.id} no reference answer; write one, or leave accuracy out of "
            f"the reward"
        )
    return graded(prompt.answers, answer)


def spelled(value: Any) -> str:
    """A value for a message, on one short line, with its type where that does not show."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
