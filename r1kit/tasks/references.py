"""The reference answers of a task as they are read: those that no answer can meet are refused or left out, and told."""

from __future__ import annotations

import re

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

    def keeps(self, where: str, answer: str | None) -> bool:
        """Whether a row with this answer is to be used."""
        self._count += 1
        if answer is None or _PLAIN.fullmatch(answer):
            return True
        from r1kit.answers.reference import doubt_about, hopeless

        if why := hopeless(answer):
            self._hopeless.append((where, why))
            return False
        if self._count <= LOOKED_AT and (why := doubt_about(answer)):
            self._doubted.append((where, why))
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
        return [line for line in (left_out, doubted) if line]

    def _told(self, found: list[tuple[str, str]], by: str) -> str:
        """``2 of 100 reference answers can be met by no answer: f.jsonl:4: NaN stands for a missing answer; ...``."""
        shown = "; ".join(f"{where}: {why}" for where, why in found[:3])
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        return f"{len(found)} of {self._count} reference answers can be met by {by}: {shown}{more}"
