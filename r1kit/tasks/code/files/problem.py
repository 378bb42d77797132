"""What every format gives: a prompt, and what stays hidden from whoever answers it."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.records import Prompt
from r1kit.sandbox import Case
from r1kit.sandbox.extract import Asked, asked_by

__all__ = ["FileProblem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    prompt: Prompt
    tests: tuple[Case, ...]
    """Hidden."""
    before: str = ""
    """Put before every program: imports and helpers that the question gives."""
    entry: str = ""
    """The function that tests call; empty for programs that read and print."""
    method: str = ""
    """The function that tests call, which an answer may have in a class ``Solution``."""
    head: str = ""
    """Put before a program that does not define ``entry``: it is a function's body alone."""

    @property
    def asked(self) -> Asked:
        """What an answer is asked to have."""
        names = {self.entry, *({self.method, "Solution"} if self.method else ())} - {""}
        return Asked(frozenset(names)) if names else asked_by(self.tests)
