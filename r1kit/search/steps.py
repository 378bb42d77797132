"""A completion cut into reasoning steps: after each mark, as a completion is cut that stops at these strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from r1kit.errors import InputError
from r1kit.text.torn import LONGEST, TORN, readings

__all__ = ["Cutter", "Decoding", "Steps"]


class Decoding(Protocol):
    """What a cutter asks of a tokenizer; ``transformers``' satisfy it."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What counts as a step. The paper: hard to define in general reasoning (R1, section 4.2)."""

    marks: tuple[str, ...] = ("\n\n",)
    """A step ends after the token that completes one of these; the next begins behind it."""
    most: int = 0
    """A step without a mark ends after so many tokens; 0: it goes on."""

    def __post_init__(self) -> None:
        if not self.marks and not self.most:
            raise InputError("steps need marks that they end at, or most, the most tokens of one; neither is given")
        if self.most < 0 or not all(self.marks):
            raise InputError(f"steps: most = {self.most} must be at least 0 and no mark may be empty")


class Cutter:
    """Cuts completions of one tokenizer."""

    def __init__(self, tokenizer: Decoding, steps: Steps) -> None:
        self._tokenizer, self._steps = tokenizer, steps
        self._last = frozenset(mark[-1] for mark in steps.marks)
        self._window = max((len(mark.encode()) for mark in steps.marks), default=0) + 2 * LONGEST
        self._may: dict[int, bool] = {}

    def ends(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Tokens up to the end of each step, rising; the last step ends with the completion. () of an empty one."""
        found, begin = [], 0
        for end in range(1, len(tokens) + 1):
            full = self._steps.most and end - begin == self._steps.most
            if full or end == len(tokens) or self._complete(tokens[begin:end]):
                found.append(end)
                begin = end
        return tuple(found)

    def _complete(self, step: Sequence[int]) -> bool:
        """Whether the last token completes a mark: each token has a byte or more, so the window holds the longest, also
        without the tokens of a character that it begins inside."""
        if not self._may_complete(step[-1]):
            return False
        tails = readings(self._text, step[-self._window :])
        return any(mark in tail for tail in tails for mark in self._steps.marks)

    def _may_complete(self, token: int) -> bool:
        """By the token's own text, which is broken where a character is split, and lacks spaces a decoder puts between
        tokens."""
        if token not in self._may:
            text = self._text([token])
            spaced = any(character.isspace() for character in self._last)
            self._may[token] = bool(self._last) and (spaced or TORN in text or not self._last.isdisjoint(text))
        return self._may[token]

    def _text(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
