"""When a completion ends: end tokens, stop strings, length. Shared by every engine that samples tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from r1kit.records import Completion, Sampling

__all__ = ["Stopping", "Tokenizer", "completion_of"]


class Tokenizer(Protocol):
    """What an engine asks of a tokenizer; ``transformers``' satisfy it."""

    @property
    def eos_token_id(self) -> int | None: ...

    def __len__(self) -> int: ...

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str: ...


def text_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """Decoded as it stands: special tokens kept, spaces left alone."""
    return tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)


class Stopping:
    """Where rows end under one ``Sampling``."""

    def __init__(self, tokenizer: Tokenizer, sampling: Sampling, ends: Sequence[int], vocab_size: int) -> None:
        self.ends = frozenset(ends)
        self._tokenizer = tokenizer
        self._stop = tuple(stop for stop in sampling.stop if stop)
        self._limit = sampling.max_tokens
        self._window = max((len(stop.encode()) for stop in self._stop), default=0) + 8
        self.watched = torch.zeros(vocab_size, dtype=torch.bool)
        """bool [V], host: tokens after which a row may have ended."""
        for end in self.ends:
            self.watched[end] = True
        if self._stop:
            self.watched |= _completing(tokenizer, self._stop, vocab_size)

    def length(self, tokens: Sequence[int], checked: int) -> int | None:
        """Length at which the row ends, or None while it goes on; the first ``checked`` tokens did not end it."""
        for index in range(checked, len(tokens)):
            token = tokens[index]
            if token in self.ends or (self._stop and self.watched[token] and self._complete(tokens[: index + 1])):
                return index + 1
        return self._limit if len(tokens) >= self._limit else None

    def finished(self, tokens: Sequence[int]) -> bool:
        """Whether the last token is why the row ended (and not the length)."""
        return bool(tokens) and (tokens[-1] in self.ends or self._complete(tokens))

    def _complete(self, tokens: Sequence[int]) -> bool:
        """The tail's text holds a stop string: each token has a byte or more, so the window holds the longest."""
        if not self._stop:
            return False
        tail = text_of(self._tokenizer, tokens[-self._window :])
        return any(stop in tail for stop in self._stop)


def completion_of(
    tokenizer: Tokenizer, stopping: Stopping, tokens: Sequence[int], logprobs: Sequence[float], version: int
) -> Completion:
    """The record of a row that ended."""
    shown = tokens[:-1] if tokens and tokens[-1] in stopping.ends else tokens
    return Completion(
        token_ids=tuple(tokens),
        logprobs=tuple(logprobs),
        text=text_of(tokenizer, shown),
        finish="stop" if stopping.finished(tokens) else "length",
        version=version,
    )


def _completing(tokenizer: Tokenizer, stop: tuple[str, ...], vocab_size: int) -> Tensor:
    """bool [V]: tokens that may complete a stop string, judged by its last character.

    A last character that is white space (which some decoders insert between tokens) or not ASCII (which byte-level
    tokens may split) makes every token a candidate.
    """
    last = {text[-1] for text in stop}
    if any(character.isspace() or not character.isascii() for character in last):
        return torch.ones(vocab_size, dtype=torch.bool)
    pieces = _pieces(tokenizer, vocab_size)
    return torch.tensor([not last.isdisjoint(piece) for piece in pieces], dtype=torch.bool)


@lru_cache(maxsize=4)
def _pieces(tokenizer: Tokenizer, vocab_size: int) -> tuple[str, ...]:
    """Text of every token by itself; ids that the tokenizer does not know are empty."""
    known = min(len(tokenizer), vocab_size)
    return tuple(text_of(tokenizer, [token]) for token in range(known)) + ("",) * (vocab_size - known)
