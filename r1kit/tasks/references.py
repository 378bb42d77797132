"""The reference answers of a task as they are read: those that no answer can meet are refused or left out, and told."""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1kit.errors import InputError

__all__ = ["References"]

LOOKED_AT = 10_000
"""Answers that are read and compared with themselves, a millisecond each; of later ones only what is plainly no answer
is found."""
_PLAIN = re.compile(r"\s*[-+]?\d{1,15}(?:\.\d{1,15})?\s*")


class References:
    """Looks at one answer after the other.

    Args:
        skip: leave out what no answer can meet; otherwise ``finish`` refuses the whole.
    """

    def __init__(self, skip: bool) -> None:
        self._skip = skip
        self.start()

    def start(self) -> None:
        """Nothing was looked at yet."""
        self._count = 0
        self._hopeless: list[tuple[str, str]] = []
        self._doubted: list[tuple[str, str]] = []
        """Where and why."""
        self._numbers: list[tuple[str, str]] = []
        """Where several numbers are each right, and the numbers."""

    def keeps(self, where: str, answers: Sequence[str]) -> bool:
        """Whether a row with these answers, any of which is right, is to be used: one that can be met is enough."""
        self._count += 1
        plain = [answer for answer in answers if _PLAIN.fullmatch(answer)]
        if len(answers) == len(plain) > 1:
            self._numbers.append((where, ", ".join(answers)))
        if plain or not answers:
            return True
        from r1kit.answers.reference import doubt_about, hopeless

        if all(map(hopeless, answers)):
            self._hopeless.append((where, hopeless(answers[0])))
            return False
        if self._count <= LOOKED_AT and all(map(doubt_about, answers)):
            self._doubted.append((where, doubt_about(answers[0])))
        return True

    def finish(self) -> None:
        """Raises InputError, in one line, for answers that no answer can meet, unless they are left out."""
        if self._hopeless and not self._skip:
            raise InputError(f'{self._told(self._hopeless, "no answer")}; mend them, or set bad_lines = "skip"')

    def doubts(self) -> list[str]:
        """What was left out, and what is compared as text alone."""
        looked = f" (of the first {LOOKED_AT:,})" if self._count > LOOKED_AT else ""
        left_out = f"left out: {self._told(self._hopeless, 'no answer')}" if self._hopeless else ""
        doubted = f"{self._told(self._doubted, 'the same text alone')}{looked}" if self._doubted else ""
        either = "any one of several numbers (where all are asked for, write them as one text, '1, 2')"
        numbers = self._told(self._numbers, either) if self._numbers else ""
        return [line for line in (left_out, doubted, numbers) if line]

    def _told(self, found: list[tuple[str, str]], by: str) -> str:
        """``2 of 100 reference answers can be met by no answer: f.jsonl:4: NaN stands for a missing answer; ...``."""
        shown = "; ".join(f"{where}: {why}" for where, why in found[:3])
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        return f"{len(found)} of {self._count} reference answers can be met by {by}: {shown}{more}"
