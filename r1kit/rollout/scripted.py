"""An engine that needs no model: completions come from a list or a function. For tests and demos."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from r1kit.records import Completion, Sampling
from r1kit.rollout.stopping import Stopping, Tokenizer, completion_of
from r1kit.rollout.streams import stream_seed

if TYPE_CHECKING:
    from r1kit.model.weights import WeightStream

__all__ = ["CodePoints", "Script", "ScriptedEngine", "WritingTokenizer"]

Script = Callable[[tuple[int, ...], int, int], str]
"""(prompt ids, the prompt's seed, row) -> the text of that row's completion."""


class WritingTokenizer(Tokenizer, Protocol):
    """A tokenizer that encodes as well."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class CodePoints:
    """The smallest tokenizer: a character is its code point, the end token is 0."""

    eos_token_id = 0

    def __len__(self) -> int:
        return 0x110000

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        return [ord(character) for character in text]

    def decode(
        self, token_ids: list[int], *, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool = False
    ) -> str:
        return "".join(chr(token) for token in token_ids if token or not skip_special_tokens)


class ScriptedEngine:
    """Answers from ``script``.

    A list is drawn from at random (the row's seed decides; temperature 0 takes the first), so a completion's log-probs
    are ``-log(len(script))`` on its first token and 0 on the rest. A function's completions have log-probs 0.
    Stop strings, ``max_tokens`` and the end token end a completion as they do for a model.
    """

    def __init__(
        self, script: Script | Sequence[str], tokenizer: WritingTokenizer | None = None, *, version: int = 0
    ) -> None:
        self._script = script
        self._tokenizer: WritingTokenizer = tokenizer if tokenizer is not None else CodePoints()
        self._version, self._ready, self._open = version, True, True
        self.calls: list[tuple[tuple[tuple[int, ...], ...], Sampling, tuple[int, ...]]] = []
        """(prompts, sampling, seeds) of every ``generate``, for a test to look at."""

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine.generate``."""
        assert self._ready, "the engine is closed, or was released and has no weights yet"
        asked = tuple(tuple(prompt) for prompt in prompts)
        self.calls.append((asked, sampling, tuple(seeds)))
        end = self._tokenizer.eos_token_id
        stopping = Stopping(self._tokenizer, sampling, () if end is None else (end,))
        return [
            tuple(self._row(prompt, seed, row, sampling, stopping) for row in range(sampling.n))
            for prompt, seed in zip(asked, seeds, strict=True)
        ]

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """Only the version is taken."""
        assert self._open, "the engine is closed, or released: resume() comes first"
        self._version, self._ready = version, True

    def release(self) -> None:
        """Nothing to give back; asks for weights as every engine does."""
        self._ready = self._open = False

    def resume(self) -> None:
        """Ready for ``load_weights``."""
        self._open = True

    def close(self) -> None:
        """Nothing to give back."""
        self.release()

    def _row(self, prompt: tuple[int, ...], seed: int, row: int, sampling: Sampling, stopping: Stopping) -> Completion:
        text, logprob = self._answer(prompt, seed, row, sampling.temperature)
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        if self._tokenizer.eos_token_id is not None:
            tokens.append(self._tokenizer.eos_token_id)
        length = stopping.length(tokens, 0)
        tokens = tokens[: min(sampling.max_tokens, len(tokens) if length is None else length)]
        logprobs = [logprob, *[0.0] * (len(tokens) - 1)]
        return completion_of(self._tokenizer, stopping, tokens, logprobs[: len(tokens)], self._version)

    def _answer(self, prompt: tuple[int, ...], seed: int, row: int, temperature: float) -> tuple[str, float]:
        if not isinstance(self._script, Sequence):
            return self._script(prompt, seed, row), 0.0
        if temperature == 0.0:
            return self._script[0], 0.0
        return self._script[stream_seed(seed, row) % len(self._script)], -math.log(len(self._script))
