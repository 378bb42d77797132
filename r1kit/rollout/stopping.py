"""When a completion ends: end tokens, stop strings, length. Shared by every engine that samples tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.records import Completion, Sampling
from r1kit.text.torn import LONGEST, readings

__all__ = ["Stopping", "Tokenizer", "check_room", "completing_tokens", "completion_of", "text_of"]


class Tokenizer(Protocol):
    """What an engine asks of a tokenizer; ``transformers``' satisfy it."""

    @property
    def eos_token_id(self) -> int | None: ...

    def __len__(self) -> int: ...

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str: ...


def text_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """Decoded as it stands: special tokens kept, spaces left alone."""
    return tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def check_room(prompts: Sequence[Sequence[int]], max_tokens: int, positions: int) -> None:
    """Raise InputError unless the longest prompt and a whole completion fit the positions that the model knows."""
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest + max_tokens > positions:
        raise InputError(
            f"a prompt of {longest} tokens and max_tokens = {max_tokens} pass the model's {positions} positions; "
            "shorten the prompt or lower max_tokens"
        )


class Stopping:
    """Where rows end under one ``Sampling``."""

    def __init__(
        self, tokenizer: Tokenizer, sampling: Sampling, ends: Sequence[int], completing: Tensor | None = None
    ) -> None:
        """``completing``: bool [V], host, from ``completing_tokens``; None looks for stop strings at every token."""
        self.ends = frozenset(ends)
        self._decode = partial(text_of, tokenizer)
        self._stop = sampling.stop
        self._completing = completing
        self._limit = sampling.max_tokens
        self._window = max((len(stop.encode()) for stop in self._stop), default=0) + 2 * LONGEST

    def length(self, tokens: Sequence[int], checked: int, limit: int | None = None) -> int | None:
        """Length at which the row ends, or None while it goes on; the first ``checked`` tokens did not end it.

        ``limit``: the row's own longest length, where it is below ``max_tokens``.
        """
        limit = self._limit if limit is None else limit
        for index in range(checked, min(len(tokens), limit)):
            token = tokens[index]
            if token in self.ends or (self._may_complete(token) and self._complete(tokens[: index + 1])):
                return index + 1
        return limit if len(tokens) >= limit else None

    def finished(self, tokens: Sequence[int]) -> bool:
        """Whether the last token is why the row ended (and not the length)."""
        return bool(tokens) and (tokens[-1] in self.ends or self._complete(tokens))

    def _may_complete(self, token: int) -> bool:
        return bool(self._stop) and (self._completing is None or bool(self._completing[token]))

    def _complete(self, tokens: Sequence[int]) -> bool:
        """The tail's text holds a stop string: each token has a byte or more, so the window holds the longest, also
        without the tokens of a character that it begins inside."""
        if not self._stop:
            return False
        tails = readings(self._decode, tokens[-self._window :])
        return any(stop in tail for tail in tails for stop in self._stop)


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


def completing_tokens(tokenizer: Tokenizer, stop: Sequence[str], vocab_size: int) -> Tensor:
    """bool [V]: tokens that may complete a stop string, judged by its last character.

    A last character that is white space (which some decoders insert between tokens) or not ASCII (which byte-level
    tokens may split) makes every token a candidate.
    """
    last = {text[-1] for text in stop}
    if any(character.isspace() or not character.isascii() for character in last):
        return torch.ones(vocab_size, dtype=torch.bool)
    found = torch.zeros(vocab_size, dtype=torch.bool)
    for token in range(min(len(tokenizer), vocab_size)) if last else ():
        found[token] = not last.isdisjoint(text_of(tokenizer, [token]))
    return found
