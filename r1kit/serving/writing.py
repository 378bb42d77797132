"""From tokens to text while they come: whole characters, stop strings that never show their beginning, thinking apart.

Plain state, no clock and no thread: the server and the terminal's chat feed it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from r1kit.rollout.piece import Piece, Scored
from r1kit.rollout.stopping import Tokenizer, text_of

__all__ = ["Delta", "Detokeniser", "Parting", "Tags", "Token", "Writer"]

_TORN = "\ufffd"
"""What a decoder writes for bytes that are no whole character."""
_LONGEST_TORN = 8
"""Tokens after which bytes that make no character are shown as they are decoded: a character has four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What a model writes around its thinking."""

    open: str = "<think>"
    close: str = "</think>"


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the answer, for whoever asked for log-probs."""

    id: int
    scored: Scored
    text: str
    """What it added; empty where a character was not whole."""
    start: int
    """Where that begins in the completion's text."""
    thinking: bool


@dataclass(slots=True)
class Delta:
    """What an answer grew by."""

    thinking: str = ""
    content: str = ""
    tokens: list[Token] = field(default_factory=list)
    finish: Literal["", "stop", "length"] = ""


class Detokeniser:
    """Tokens -> the text they add. What is decoded together with the token before, as words and their spaces are, is
    decoded so here; bytes of a character that is not whole yet wait."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        """``before``: tokens that the text goes on from; none: it begins here."""
        self._tokenizer = tokenizer
        self._before = list(before[-4:])
        """Tokens shown last: what follows is decoded after them."""
        self._new: list[int] = []

    def add(self, tokens: Sequence[int], last: bool = False) -> str:
        """``last``: nothing follows, so nothing waits."""
        self._new.extend(tokens)
        if not self._new:
            return ""
        text = self._after(self._new)
        if not last and text.endswith(_TORN) and len(self._new) > 1:
            return self._up_to_torn()
        if not last and text.endswith(_TORN) and len(self._new) < _LONGEST_TORN:
            return ""
        self._before, self._new = self._new[-4:], []
        return text

    def _after(self, tokens: Sequence[int]) -> str:
        """Text of tokens that follow those before."""
        had = text_of(self._tokenizer, self._before) if self._before else ""
        return text_of(self._tokenizer, [*self._before, *tokens])[len(had) :]

    def _up_to_torn(self) -> str:
        """As many of the new tokens as end in a whole character."""
        waiting, self._new = self._new, []
        for count in range(len(waiting) - 1, max(0, len(waiting) - _LONGEST_TORN), -1):
            text = self._after(waiting[:count])
            if not text.endswith(_TORN):
                self._before, self._new = waiting[:count][-4:], waiting[count:]
                return text
        if len(waiting) < _LONGEST_TORN:
            self._new = waiting
            return ""
        return self.add(waiting, last=True)


class Parting:
    """Text -> its thinking and the rest, a model's tags left out; white space around the thinking too."""

    def __init__(self, tags: Tags | None, opened: bool = False) -> None:
        """``tags``: None: nothing is thinking. ``opened``: the prompt wrote the opening tag."""
        self._tags = tags
        self._state: Literal["start", "thinking", "after", "content"] = (
            "content" if tags is None else "thinking" if opened else "start"
        )
        self._held = ""
        self._seen = 0
        self._begun = False
        self.content_from = 0 if tags is None else None
        """Where in the whole text the rest begins; None while that is open."""

    def add(self, text: str, last: bool = False) -> tuple[str, str]:
        """(thinking, content) that became certain."""
        self._seen += len(text)
        held, self._held = self._held + text, ""
        thinking = content = ""
        if self._state == "start" and self._tags is not None:
            begun = held.lstrip()
            if begun.startswith(self._tags.open):
                self._state, held = "thinking", begun[len(self._tags.open) :]
            elif not last and self._tags.open.startswith(begun):
                self._held = held
            else:
                self._state, self.content_from = "content", self._seen - len(held)
        if self._state == "thinking" and self._tags is not None:
            thought, closed, rest = held.partition(self._tags.close)
            if closed:
                thinking, self._state, held = self._trimmed(thought.rstrip()), "after", rest
                self.content_from = self._seen - len(rest)
            else:
                sure = len(held) if last else _sure(held, (self._tags.close,))
                sure = len(held[:sure].rstrip())
                thinking, self._held = self._trimmed(held[:sure]), "" if last else held[sure:]
        if self._state == "after":
            held = held.lstrip()
            self._state = "content" if held else "after"
        if self._state == "content":
            content = held
        return thinking, content

    def _trimmed(self, thought: str) -> str:
        """Without the white space that the thinking begins with."""
        thought = thought if self._begun else thought.lstrip()
        self._begun = self._begun or bool(thought)
        return thought


class Writer:
    """One completion: pieces in, deltas out, until ``finish``."""

    def __init__(
        self, tokenizer: Tokenizer, ends: frozenset[int], parting: Parting,
        *, stop: Sequence[str] = (), kept_stop: Sequence[str] = (), before: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """
        Args:
            before: see ``Detokeniser``.
            ends: tokens that end a completion, which are not text.
            stop: strings that the text ends before.
            kept_stop: strings that it ends after.
        """
        self._detokeniser, self._ends, self._parting = Detokeniser(tokenizer, before), ends, parting
        self._stop, self._kept = tuple(stop), tuple(kept_stop)
        self._text = ""
        self._shown = 0
        self._waiting: list[tuple[int, Scored, int, int]] = []
        """Tokens not yet told: id, log-probs, where its text begins and ends."""
        self.count = 0
        """Tokens, the end token included."""
        self.finish: Literal["", "stop", "length"] = ""

    @property
    def raw(self) -> str:
        """The text so far as it was written, tags included."""
        return self._text[: self._shown]

    def feed(self, piece: Piece) -> Delta:
        """What became certain."""
        assert not self.finish
        if piece.scored or self._stop or self._kept:
            for place, token in enumerate(piece.token_ids):
                self._add([token], piece.scored[place : place + 1])
                if self.finish:
                    return self._told()
        else:
            self._add(piece.token_ids, [])
        if piece.finish:
            self._text += self._detokeniser.add([], last=True)
            if not self._stopped():
                self.finish = piece.finish
        return self._told()

    def _add(self, tokens: Sequence[int], scored: Sequence[Scored]) -> None:
        self.count += len(tokens)
        begins = len(self._text)
        text = [token for token in tokens if token not in self._ends]
        if text:
            self._text += self._detokeniser.add(text)
            self._waiting.extend(
                (token, one, begins, len(self._text)) for token, one in zip(text, scored, strict=False)
            )
            self._stopped()

    def _stopped(self) -> bool:
        """Cut the text at the first stop string beyond what was shown."""
        if self.finish:
            return True
        found = [(place, place) for stop in self._stop if (place := self._text.find(stop, self._shown)) >= 0]
        ends = [(place, place + len(stop)) for stop in self._kept if (place := self._text.find(stop, self._from)) >= 0]
        if not found and not ends:
            return False
        self._text = self._text[: min(found + ends)[1]]
        self.finish = "stop"
        return True

    @property
    def _from(self) -> int:
        """A string that is kept may have begun in what was shown."""
        return max(0, self._shown - max(map(len, self._kept), default=0))

    def _told(self) -> Delta:
        sure = len(self._text) if self.finish else self._shown + _sure(self._text[self._shown :], self._stop)
        added, self._shown = self._text[self._shown : sure], sure
        thinking, content = self._parting.add(added, bool(self.finish))
        tokens = []
        while self._waiting and (self._waiting[0][3] <= sure or (self.finish and self._waiting[0][2] < sure)):
            token, scored, begins, ends = self._waiting.pop(0)
            first = self._parting.content_from
            tokens.append(Token(token, scored, self._text[begins:ends], begins, first is None or begins < first))
        return Delta(thinking, content, tokens, self.finish)


def _sure(text: str, marks: Sequence[str]) -> int:
    """Length of the text that cannot be the beginning of a mark."""
    for start in range(max(0, len(text) - max(map(len, marks), default=0)), len(text)):
        if any(mark.startswith(text[start:]) for mark in marks):
            return start
    return len(text)
