"""The local engine with its door open: prompts join a running batch, and new weights come in, between two tokens.

What was written stays: a row goes on with the new weights over the keys and values that the old ones left, as vLLM's
``keep`` does, and tells which version wrote which of its tokens. ``recompute`` runs every row's tokens through the new
weights first: what is drawn from then on is what they would draw after the same text.

A row's random numbers are its own, whatever it shares a batch with; its log-probs differ by rounding from those of a
closed call. A closed call (``LocalEngine.generate``) gives the same bits every time.

Prompts share a batch that are of the same ``n``, stop strings and class of size; temperature, top-p and length are each
row's own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from r1kit.records import Completion, Sampling
from r1kit.rollout.decode import CachedDecoder, Prefix
from r1kit.rollout.flight import SLACK, Flight, Waiting
from r1kit.rollout.piece import Piece, Scored, Ticket, Wrote, draw_each, score, score_states
from r1kit.rollout.stopping import check_room
from r1kit.rollout.streams import row_seeds

if TYPE_CHECKING:
    from r1kit.rollout.local import LocalEngine

__all__ = ["Session"]

Ended = Callable[[tuple[Completion, ...]], None]
_SHORTEST = 64
"""Prompts up to this length share a batch; beyond it, those up to the next power of two."""
_COARSE = 256
"""With ``serving``, the same of prompts and of completions, by powers of four."""
_LOOK = 0.05
"""Seconds between two looks at what was written, with ``serving``."""


class Session:
    """Prompts of any sampling on their way through one ``LocalEngine``: an ``Open`` one. Not for several threads at a
    time."""

    def __init__(self, engine: LocalEngine, *, recompute: bool = False, serving: bool = False) -> None:
        """
        Args:
            recompute: whether new weights read again what old ones have written.
            serving: for requests of many kinds: classes of size are coarse, so that more of them share a batch, a
                prompt joins as soon as a row is free, and slow models are looked at after every token.
        """
        self._engine, self._recompute, self._serving = engine, recompute, serving
        self._flights: dict[tuple[int, int, int, tuple[str, ...]], _Open] = {}

    @property
    def positions(self) -> int:
        """See ``Open``."""
        return self._engine.positions

    @property
    def running(self) -> int:
        """See ``Open``."""
        return sum(flight.running for flight in self._flights.values())

    def add(self, prompt: Sequence[int], sampling: Sampling, seed: int, ended: Ended) -> None:
        """A prompt; ``ended`` is told its ``sampling.n`` completions by ``advance``.

        Raises:
            InputError: it leaves no room for ``sampling.max_tokens``.
        """
        self._join(_Asked(prompt, sampling, seed, ended=ended))

    def listen(
        self, prompt: Sequence[int], sampling: Sampling, seed: int, wrote: Wrote, top: int | None = None
    ) -> Ticket:
        """See ``Open``."""
        return self._join(_Asked(prompt, sampling, seed, wrote=wrote, top=top))

    def cancel(self, ticket: Ticket, row: int | None = None) -> None:
        """See ``Open``."""
        assert isinstance(ticket, _Asked)
        assert ticket.flight is not None
        ticket.flight.cancel(ticket, row)

    def advance(self, progress: bool = True) -> bool:
        """A few tokens of every row; whether any is left. Weights that the engine was given meanwhile are taken in."""
        with torch.inference_mode():
            for key, flight in list(self._flights.items()):
                flight.take(self._recompute)
                if not flight.advance(progress):
                    del self._flights[key]  # and its cache
        return bool(self._flights)

    def read(self, prompt: Sequence[int], top: int) -> list[Scored]:
        """See ``Open``."""
        check_room([prompt], 0, self._engine.positions)
        weights, _ = self._engine.held
        with torch.inference_mode():
            hidden = CachedDecoder(weights, 1, 1, len(prompt)).read(prompt)[:-1]
            return score_states(weights.head, hidden, prompt[1:], top)

    def _join(self, asked: _Asked) -> _Asked:
        prompt, sampling = asked.prompt, asked.sampling
        check_room([prompt], sampling.max_tokens, self._engine.positions)
        room, longest = max(_SHORTEST, 1 << (len(prompt) - 1).bit_length()), sampling.max_tokens
        if self._serving:
            room, longest = (min(_coarse(size), self._engine.positions) for size in (len(prompt), longest))
        key = (sampling.n, room, longest, sampling.stop)
        if key not in self._flights:
            self._flights[key] = _Open(self._engine, replace(sampling, max_tokens=longest), room, self._serving)
        asked.flight = self._flights[key]
        asked.flight.add(asked)
        return asked


def _coarse(size: int) -> int:
    """The next power of four, ``_COARSE`` at least."""
    bits = (max(size, _COARSE) - 1).bit_length()
    return 1 << (bits + bits % 2)


@dataclass(slots=True, eq=False)
class _Asked:
    """A prompt on its way; who listens to it."""

    prompt: Sequence[int]
    sampling: Sampling
    seed: int
    ended: Ended | None = None
    wrote: Wrote | None = None
    top: int | None = None
    flight: _Open | None = None
    place: int = -1
    """-1: all of it has ended."""
    told: list[int] = field(default_factory=list)
    """Tokens of each row that ``wrote`` was told."""
    scored: list[list[Scored]] = field(default_factory=list)
    """Of each row, not yet told."""


class _Open(Flight):
    """A flight whose prompts come and go: a prompt's place, and its rows', are used again once it has ended."""

    def __init__(self, engine: LocalEngine, sampling: Sampling, room: int, serving: bool) -> None:
        """
        Args:
            sampling: ``n`` and stop strings of all, and the longest length of any.
            room: longest prompt.
            serving: see ``Session``.
        """
        self._engine, (weights, self._version), self._serving = engine, engine.held, serving
        longest = room + sampling.max_tokens
        super().__init__(
            weights, engine.stopping(sampling), [], sampling, [], room=room, columns=longest + SLACK,
            slots=engine.rows_in_flight(engine.max_rows, longest), check_every=engine.check_every,
            cached=engine.cached,
        )  # fmt: skip
        self._held = weights
        self._places: list[Sequence[int]] = []
        self._prompts = self._places
        self._asked: dict[int, _Asked] = {}
        self._free: list[int] = []
        self._over: list[int] = []
        """Rows that have just ended."""
        self._wrote: dict[int, list[tuple[int, int]]] = {}
        """Row -> (version, its first token) of all that wrote it, oldest first."""

    @property
    def running(self) -> int:
        return len(self._row_of)

    def add(self, asked: _Asked) -> None:
        n = self._sampling.n
        if not self._free:
            self._grow(max(8, len(self._places)))
        place = asked.place = self._free.pop()
        self._places[place], self._asked[place], self._left[place] = asked.prompt, asked, n
        asked.told, asked.scored = [0] * n, [[] for _ in range(n)]
        rows = slice(place * n, (place + 1) * n)
        self._seeds[rows] = row_seeds([asked.seed], n).to(self._seeds.device)
        self._limits[rows] = asked.sampling.max_tokens
        self._waiting.append(Waiting(place, 0))

    def cancel(self, asked: _Asked, row: int | None) -> None:
        """Slots, places and waiting rows are free again; the other rows stay as they are."""
        if asked.place < 0:
            return
        first, n = asked.place * self._sampling.n, self._sampling.n
        leaving = {first + row} if row is not None else set(range(first, first + n))
        gone = [slot for slot, each in enumerate(self._row_of.tolist()) if each in leaving]
        if gone:
            with torch.inference_mode():
                self._drop(gone)
        self._left[asked.place] -= len(gone)
        if row is None:
            self._waiting = deque(group for group in self._waiting if group.prompt != asked.place)
        if row is None or not self._left[asked.place]:
            self._leave(asked)

    def _leave(self, asked: _Asked) -> None:
        first = asked.place * self._sampling.n
        for row in range(first, first + self._sampling.n):
            self._wrote.pop(row, None)
        del self._asked[asked.place]
        self._free.append(asked.place)
        asked.place = -1

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

    def advance(self, progress: bool) -> bool:
        """A few tokens of every row; tells what has ended. Whether anything is left."""
        if self._waiting and len(self._row_of) <= self._slots - (1 if self._serving else max(1, self._slots // 8)):
            self._refill()
            self._tell(False)
        if len(self._row_of):
            began, column = time.perf_counter(), self._decoder.column
            self._advance()
            if self._serving and self._decoder.column > column:
                a_step = (time.perf_counter() - began) / (self._decoder.column - column)
                self._check_every = max(1, min(self._engine.check_every, int(_LOOK / a_step)))
            self._tell(progress)
        return bool(self._waiting) or len(self._row_of) > 0

    def _pick(self, logits: Tensor, uniform: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        asked = [self._asked[row // self._sampling.n] for row in rows]
        tokens, logprobs = draw_each(logits, uniform, [one.sampling for one in asked])
        tops = [(slot, one.top) for slot, one in enumerate(asked) if one.top is not None]
        if tops:
            slots = [slot for slot, _ in tops]
            found = score(logits[slots], tokens[slots], max(top for _, top in tops))
            for (slot, top), one in zip(tops, found, strict=True):
                asked[slot].scored[rows[slot] % self._sampling.n].append(Scored(one.logprob, one.top[:top]))
        return tokens, logprobs

    def _end(self, row: int, length: int) -> None:
        super()._end(row, length)
        self._over.append(row)

    def _take(self, room: int) -> Iterator[tuple[int, Prefix]]:
        for row, prefix in super()._take(room):
            self._wrote[row] = [(self._version, 0)]
            yield row, prefix

    def _tell(self, progress: bool) -> None:
        over, self._over = self._over, []
        for row in over:
            self._tell_row(row, self._lengths[row], True)
        if progress:
            for row, age in zip(self._row_of.tolist(), self._ages.tolist(), strict=True):
                self._tell_row(row, age, False)
        for place in self._ended():
            asked = self._asked[place]
            told: tuple[Completion, ...] = ()
            if asked.ended is not None:
                rows = range(place * self._sampling.n, (place + 1) * self._sampling.n)
                bare = self.completions(place, self._engine.tokenizer, 0)
                told = tuple(_by(one, self._wrote.pop(row)) for row, one in zip(rows, bare, strict=True))
            self._leave(asked)
            if asked.ended is not None:
                asked.ended(told)

    def _tell_row(self, row: int, length: int, over: bool) -> None:
        """The row's tokens up to ``length`` that were not told yet."""
        asked, own = self._asked[row // self._sampling.n], row % self._sampling.n
        if asked.wrote is None or not (over or length > asked.told[own]):
            return
        tokens = self._out[row, asked.told[own] : length].tolist()
        scored, asked.scored[own] = asked.scored[own][: len(tokens)], []
        asked.told[own] = length
        stopped = over and self._stopping.finished(self._out[row, :length].tolist())
        asked.wrote(Piece(own, tokens, scored, "stop" if stopped else "length" if over else ""))

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
