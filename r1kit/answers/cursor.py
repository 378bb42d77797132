"""A place in a line of tokens, and how deep in brackets it is."""

from __future__ import annotations

from r1kit.answers.nodes import UnreadError
from r1kit.answers.tokens import Token

__all__ = ["DEEPEST", "Cursor"]

DEEPEST = 60
"""Brackets in brackets and functions of functions, a bracket counted twice."""


class Cursor:
    def __init__(self, line: list[Token]) -> None:
        self._line, self._place, self._depth, self._bars = line, 0, 0, 0
        if not line:
            raise UnreadError("nothing")

    @property
    def here(self) -> Token | None:
        return self._line[self._place] if self._place < len(self._line) else None

    def _ahead(self, steps: int = 1) -> Token | None:
        return self._line[self._place + steps] if self._place + steps < len(self._line) else None

    def _at(self, *texts: str) -> bool:
        token = self.here
        return token is not None and token.kind in ("sign", "command") and token.text in texts

    def _take(self, *texts: str) -> Token:
        token = self.here
        if token is None or (texts and token.text not in texts):
            raise UnreadError(token.text if token else "the end")
        self._place += 1
        return token
