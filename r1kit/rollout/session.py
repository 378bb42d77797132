"""The local engine with its door open: prompts join a running batch, and new weights come in, between two tokens.

What was written stays: a row goes on with the new weights over the keys and values that the old ones left, as vLLM's
``keep`` does, and tells which version wrote which of its tokens. ``recompute`` runs every row's tokens through the new
weights first: what is drawn from then on is what they would draw after the same text.

A row's random numbers are its own, whatever it shares a batch with; its log-probs differ by rounding from those of a
closed call. A closed call (``LocalEngine.generate``) gives the same bits every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from r1kit.records import Completion, Sampling
from r1kit.rollout.decode import Prefix
from r1kit.rollout.flight import SLACK, Flight, Waiting
from r1kit.rollout.stopping import check_room
from r1kit.rollout.streams import row_seeds

if TYPE_CHECKING:
    from r1kit.rollout.local import LocalEngine

__all__ = ["Session"]

Ended = Callable[[tuple[Completion, ...]], None]
_SHORTEST = 64
"""Prompts up to this length share a batch; beyond it, those up to the next power of two."""


class Session:
    """Prompts of any sampling on their way through one ``LocalEngine``. Not for several threads at a time."""

    def __init__(self, engine: LocalEngine, *, recompute: bool = False) -> None:
        """``recompute``: whether new weights read again what old ones have written."""
        self._engine, self._recompute = engine, recompute
        self._flights: dict[tuple[Sampling, int], _Open] = {}

    def add(self, prompt: Sequence[int], sampling: Sampling, seed: int, ended: Ended) -> None:
        """A prompt; ``ended`` is told its ``sampling.n`` completions by ``advance``.

        Raises:
            InputError: it leaves no room for ``sampling.max_tokens``.
        """
        check_room([prompt], sampling.max_tokens, self._engine.positions)
        room = max(_SHORTEST, 1 << (len(prompt) - 1).bit_length())
        if (sampling, room) not in self._flights:
            self._flights[sampling, room] = _Open(self._engine, sampling, room)
        self._flights[sampling, room].add(prompt, seed, ended)

    def advance(self) -> bool:
        """A few tokens of every row; whether any is left. Weights that the engine was given meanwhile are taken in."""
        with torch.inference_mode():
            for key, flight in list(self._flights.items()):
                flight.take(self._recompute)
                if not flight.advance():
                    del self._flights[key]  # and its cache
        return bool(self._flights)


class _Open(Flight):
    """A flight whose prompts come and go: a prompt's place, and its rows', are used again once it has ended."""

    def __init__(self, engine: LocalEngine, sampling: Sampling, room: int) -> None:
        """``room``: longest prompt."""
        self._engine, (weights, self._version) = engine, engine.held
        longest = room + sampling.max_tokens
        super().__init__(
            weights, engine.stopping(sampling), [], sampling, [], room=room, columns=longest + SLACK,
            slots=engine.rows_in_flight(engine.max_rows, longest), check_every=engine.check_every,
        )  # fmt: skip
        self._held = weights
        self._places: list[Sequence[int]] = []
        self._prompts = self._places
        self._asked: dict[int, Ended] = {}
        self._free: list[int] = []
        self._wrote: dict[int, list[tuple[int, int]]] = {}
        """Row -> (version, its first token) of all that wrote it, oldest first."""

    def add(self, prompt: Sequence[int], seed: int, ended: Ended) -> None:
        n = self._sampling.n
        if not self._free:
            self._grow(max(8, len(self._places)))
        place = self._free.pop()
        self._places[place], self._asked[place], self._left[place] = prompt, ended, n
        self._seeds[place * n : (place + 1) * n] = row_seeds([seed], n).to(self._seeds.device)
        self._waiting.append(Waiting(place, 0))

    def _grow(self, more: int) -> None:
        """Places of so many prompts more."""
        rows, longest, had = more * self._sampling.n, self._sampling.max_tokens, len(self._places)
        self._free.extend(range(had, had + more))
        self._places.extend([()] * more)
        self._left.extend([0] * more)
        self._lengths.extend([0] * rows)
        self._seeds = torch.cat([self._seeds, self._seeds.new_zeros(rows)])
        self._limits = torch.cat([self._limits, self._limits.new_full((rows,), longest)])
        self._out = torch.cat([self._out, self._out.new_zeros(rows, longest)])
        self._logprobs = torch.cat([self._logprobs, self._logprobs.new_zeros(rows, longest)])

    def advance(self) -> bool:
        """A few tokens of every row; tells what has ended. Whether anything is left."""
        if self._waiting and len(self._row_of) <= self._slots - max(1, self._slots // 8):
            self._refill()
            self._tell()
        if len(self._row_of):
            self._advance()
            self._tell()
        return bool(self._waiting) or len(self._row_of) > 0

    def _take(self, room: int) -> Iterator[tuple[int, Prefix]]:
        for row, prefix in super()._take(room):
            self._wrote[row] = [(self._version, 0)]
            yield row, prefix

    def _tell(self) -> None:
        for place in self._ended():
            rows = range(place * self._sampling.n, (place + 1) * self._sampling.n)
            bare = self.completions(place, self._engine.tokenizer, 0)
            told = tuple(_by(one, self._wrote.pop(row)) for row, one in zip(rows, bare, strict=True))
            self._free.append(place)
            self._asked.pop(place)(told)

    def take(self, recompute: bool) -> None:
        """Go on with the engine's newest weights."""
        weights, version = self._engine.held
        if weights is self._held:
            return
        self._held, self._version = weights, version
        self._decoder.take(weights)
        for group in self._waiting:
            group.prefix = None  # of the old ones
        for row, age in zip(self._row_of.tolist(), self._ages.tolist(), strict=True):
            self._wrote[row].append((version, age))
        if recompute and len(self._row_of):
            self._read_again()

    def _read_again(self) -> None:
        """Keys and values of all rows, by the present weights; the newest token of each is still to be read."""
        runs = [
            [*self._places[row // self._sampling.n], *self._out[row, : age - 1].tolist()]
            for row, age in zip(self._row_of.tolist(), self._ages.tolist(), strict=True)
        ]
        self._decoder.move([], [], 0)
        self._decoder.column = max(self._longest_prompt, *map(len, runs))
        for slot, run in enumerate(runs):
            self._decoder.admit(self._decoder.prefill([run]), slot)


def _by(completion: Completion, wrote: Sequence[tuple[int, int]]) -> Completion:
    """A completion with the versions that wrote it: (version, its first token) each."""
    ends = [first for _, first in wrote[1:]] + [len(completion.token_ids)]
    tokens: dict[int, int] = {}
    for (version, first), end in zip(wrote, ends, strict=True):
        if (count := min(end, len(completion.token_ids)) - first) > 0:
            tokens[version] = tokens.get(version, 0) + count
    spans = tuple(tokens.items())
    return replace(completion, version=spans[0][0], spans=spans if len(spans) > 1 else ())
