"""Token ids -> the text of each, so that all of them together are the text that was decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1kit.text.torn import LONGEST, TORN

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Spelling"]

_BEHIND = 8
"""Tokens that are decoded together with a new one where a token's text depends on those before it."""


class Spelling:
    """A tokenizer that is asked for the texts of a completion's tokens, one by one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def __call__(self, ids: Sequence[int], text: str) -> list[str]:
        """
        Args:
            ids: of a completion, its end token as well where it has one.
            text: of the completion, without that end token.

        Returns:
            One text a token; without the end token's they make ``text``. Of a character that several tokens write,
            the last one has it and the others are empty.
        """
        found = self._at_once(ids)
        whole = "".join(found)
        is_whole = TORN not in whole and whole in (text, text + "".join(found[-1:]))
        return found if is_whole else self._in_turn(ids)

    def _at_once(self, ids: Sequence[int]) -> list[str]:
        """Each token as it stands after another of its kind; right where no token's text depends on more."""
        for token in {*ids} - {*self._known}:
            self._known[token] = self._decoded([token, token])[len(self._decoded([token])) :]
        return [self._decoded(ids[:1]), *(self._known[token] for token in ids[1:])] if ids else []

    def _in_turn(self, ids: Sequence[int]) -> list[str]:
        """What each adds to the text of those before it."""
        found, start = [], 0
        for place in range(len(ids)):
            first = self._anchor(ids, max(0, min(start, place - _BEHIND)), start)
            before, after = self._decoded(ids[first:start]), self._decoded(ids[first : place + 1])
            if after.endswith(TORN) and place + 1 < len(ids):
                found.append("")
                continue
            found.append(after[len(before) :])
            start = place + 1
        return found

    def _anchor(self, ids: Sequence[int], first: int, end: int) -> int:
        """From ``first`` on, where the tokens up to ``end`` begin with a whole character."""
        places = range(first, min(first + LONGEST, end))
        return next((place for place in places if not self._decoded(ids[place:end]).startswith(TORN)), first)

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
