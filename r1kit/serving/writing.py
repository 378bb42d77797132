"""From tokens to text while they come: whole characters, stop strings that never show their beginning, thinking apart.

Plain state, no clock and no thread: the server and the terminal's chat feed it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from r1kit.rollout.piece import Piece, Scored
from r1kit.rollout.stopping import Tokenizer, text_of
from r1kit.text.torn import LONGEST, TORN, readings

__all__ = ["Delta", "Detokeniser", "Parting", "Tags", "Token", "Writer"]

_MOST_TORN = 8
"""Tokens after which what may be torn characters is shown as it is decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What a model writes around its thinking."""

    open: str = "<think>"
    close: str = "</think>"
    plain: str = ""
    """What it writes before an answer without thinking, which is left out too."""


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
    decoded so here; bytes of a character that is not whole yet wait, so that all pieces make the text of all tokens."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        """``before``: tokens that the text goes on from; none: it begins here. A character that they begin and the text
        completes is the text's."""
        self._decode = partial(text_of, tokenizer)
        self._before: list[int] = []
        """Tokens shown last, from a whole character on: what follows is decoded after them."""
        self._new = list(before[-2 * LONGEST :])
        """Tokens not yet shown."""
        self._take(self._ended())
        self._shown = self._after(self._new)
        """What stands for them in the text before: bytes of a character that it has begun."""

    def add(self, tokens: Sequence[int], last: bool = False) -> str:
        """``last``: nothing follows, so nothing waits."""
        self._new.extend(tokens)
        count = len(self._new) if last else self._whole() or self._too_many()
        text = self._after(self._new[:count])
        if count:
            self._take(count)
            while self._shown and text.startswith(self._shown[0]):
                text, self._shown = text[1:], self._shown[1:]
            self._shown = ""
        return text

    def _ended(self) -> int:
        """How many of the first tokens, cut out of more, end in a whole character; all where that cannot be told."""
        total = len(self._new)
        for count in range(total, max(0, total - LONGEST), -1):
            *_, text = readings(self._decode, self._new[:count])
            if not text.startswith(TORN) and not text.endswith(TORN):
                return count
        return total if total >= LONGEST else 0

    def _after(self, tokens: Sequence[int]) -> str:
        """Text of tokens that follow those before."""
        if not tokens:
            return ""
        had = self._decode(self._before) if self._before else ""
        return self._decode([*self._before, *tokens])[len(had) :]

    def _whole(self) -> int:
        """How many of the new tokens end in a whole character; 0: it is none of the last places."""
        total = len(self._new)
        ends = range(total, max(0, total - _MOST_TORN), -1)
        return next((count for count in ends if not self._after(self._new[:count]).endswith(TORN)), 0)

    def _too_many(self) -> int:
        """0 while a whole character may yet come. Else all but what may be one's beginning: U+FFFD itself is shortest
        where it is whole."""
        total = len(self._new)
        if total < _MOST_TORN:
            return 0
        return min(range(total, total - LONGEST, -1), key=lambda count: len(self._after(self._new[:count])))

    def _take(self, count: int) -> None:
        """Count the first new tokens as shown."""
        tail, self._new = self._new[:count][-LONGEST:], self._new[count:]
        torn = [(text.startswith(TORN), len(text)) for text in readings(self._decode, tail)]
        self._before = tail[torn.index(min(torn)) :] if torn else []


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
            elif not last and any(mark.startswith(begun) for mark in (self._tags.open, self._tags.plain)):
                self._held = held
            else:
                is_plain = bool(self._tags.plain) and begun.startswith(self._tags.plain)
                held = begun.removeprefix(self._tags.plain) if is_plain else held
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
