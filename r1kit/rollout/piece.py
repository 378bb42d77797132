"""What an open engine tells of a completion while it is written, and rows that differ in how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from r1kit.records import Sampling
from r1kit.rollout.sampler import sample

__all__ = ["Open", "Piece", "Scored", "Ticket", "Wrote", "draw_each", "score", "score_states"]

_SCORED_AT_ONCE = 64
"""Positions whose logits are held at a time."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model itself thinks of a token: temperature 1, the whole vocabulary, whatever it was drawn with."""

    logprob: float
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens with their log-probs, best first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that a completion grew by."""

    row: int
    """Which of the prompt's ``n`` completions."""
    token_ids: list[int]
    scored: list[Scored]
    """One a token where ``top`` was asked for, else none."""
    finish: Literal["", "stop", "length"] = ""
    """Why it ended; empty: it goes on."""


Wrote = Callable[[Piece], None]


class Ticket(Protocol):
    """A prompt on its way through an open engine."""


class Open(Protocol):
    """An engine that prompts join, leave and are told of while it samples. Not for several threads at a time."""

    @property
    def positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        ...

    @property
    def running(self) -> int:
        """Rows in flight."""
        ...

    def listen(
        self, prompt: Sequence[int], sampling: Sampling, seed: int, wrote: Wrote, top: int | None = None
    ) -> Ticket:
        """A prompt joins. ``top``: log-probs are told, with so many of the likeliest tokens; None: none are.

        Raises:
            InputError: it leaves no room for ``sampling.max_tokens``.
        """
        ...

    def cancel(self, ticket: Ticket, row: int | None = None) -> None:
        """One of its completions, or all, end here; nothing is told of them any more. Not from within ``wrote``."""
        ...

    def advance(self, progress: bool = True) -> bool:
        """A few tokens of every row; whether any is left. ``progress``: rows that go on tell what they wrote, too."""
        ...

    def read(self, prompt: Sequence[int], top: int) -> list[Scored]:
        """What the model thinks of a prompt's tokens but the first."""
        ...


def draw_each(logits: Tensor, uniform: Tensor, samplings: Sequence[Sampling]) -> tuple[Tensor, Tensor]:
    """``sample`` with each row's own temperature and top-p: int64 and float32 [B]."""
    kinds: dict[tuple[float, float], list[int]] = {}
    for row, sampling in enumerate(samplings):
        kinds.setdefault((sampling.temperature, sampling.top_p), []).append(row)
    if len(kinds) == 1:
        return sample(logits, uniform, *next(iter(kinds)))
    tokens = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    logprobs = torch.empty(len(logits), device=logits.device)
    for kind, rows in kinds.items():
        tokens[rows], logprobs[rows] = sample(logits[rows], uniform[rows], *kind)
    return tokens, logprobs


def score(logits: Tensor, tokens: Tensor, top: int) -> list[Scored]:
    """Of tokens [m] by logits [m, V]."""
    logprobs = torch.log_softmax(logits, -1, dtype=torch.float32)
    own = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
    values, best = logprobs.topk(min(top, logprobs.shape[-1]), -1)
    likely = zip(best.tolist(), values.tolist(), strict=True)
    return [Scored(one, tuple(zip(*row, strict=True))) for one, row in zip(own, likely, strict=True)]


def score_states(head: Callable[[Tensor], Tensor], hidden: Tensor, tokens: Sequence[int], top: int) -> list[Scored]:
    """Of tokens by the hidden states [m, d] before them; ``head``: to logits, a bounded number of them at a time."""
    ids, found = torch.tensor(list(tokens), device=hidden.device), list[Scored]()
    for some, own in zip(hidden.split(_SCORED_AT_ONCE), ids.split(_SCORED_AT_ONCE), strict=True):
        found += score(head(some), own, top) if len(own) else []
    return found
