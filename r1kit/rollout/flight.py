"""Rows that decode side by side: a prompt is run once for its group; rows that end leave, waiting ones come in.

The last rows in flight take the slots of those that left, so only as many rows are copied as ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.records import Completion, Sampling
from r1kit.rollout.decode import CachedDecoder, Prefix
from r1kit.rollout.packed import PackedDecoder
from r1kit.rollout.sampler import sample
from r1kit.rollout.stopping import Stopping, Tokenizer, completion_of
from r1kit.rollout.streams import row_seeds, uniforms

__all__ = ["SLACK", "Flight", "Waiting"]

_SAMPLED_AT_ONCE = 1 << 22
"""Logits held at a time: rows of the head and the sampler are cut to it."""
_PREFILL_TOKENS = 8192
SLACK = 64
"""Columns beyond the longest row, when rows are refilled: how often the cache is shifted."""


@dataclass(slots=True)
class Waiting:
    """Rows of one prompt not yet in flight."""

    prompt: int
    next_row: int
    prefix: Prefix | None = None


class Flight:
    """One call of ``generate``. Row = prompt * n + i; slot = its place in the batch."""

    def __init__(
        self, weights: PackedDecoder, stops: tuple[Stopping, Tensor], prompts: Sequence[Sequence[int]],
        sampling: Sampling, seeds: Sequence[int], *, room: int, slots: int, columns: int, check_every: int,
        cached: type[CachedDecoder] = CachedDecoder,
    ) -> None:  # fmt: skip
        """
        Args:
            weights: that it samples from.
            stops: where rows end, and bool [V], host: tokens after which a row may have ended.
            prompts: of at most ``room`` tokens.
            sampling: of all.
            seeds: one a prompt.
            room: for a prompt.
            slots: rows side by side.
            columns: of the cache, each prompt's room included.
            check_every: steps between looks at which rows ended.
            cached: what runs the steps.
        """
        self._prompts, self._sampling = prompts, sampling
        (self._stopping, self._watched), self._kind = stops, cached
        self._check_every, self._longest_prompt, self._slots = check_every, room, slots
        total = len(prompts) * sampling.n
        self._decoder = self._cache(weights, slots, columns, room + sampling.max_tokens)
        self._decoder.column = self._longest_prompt
        self._waiting = deque(Waiting(prompt, 0) for prompt in range(len(prompts)))
        device = self._decoder.device
        self._seeds = row_seeds(seeds, sampling.n).to(device)
        self._at_once = max(1, _SAMPLED_AT_ONCE // weights.config.vocab_size)
        self._row_of = torch.empty(0, dtype=torch.int64)
        self._ages = torch.empty(0, dtype=torch.int64)
        self._tokens = torch.empty(0, dtype=torch.int64, device=device)
        self._out = torch.zeros(total, sampling.max_tokens, dtype=torch.int64)
        self._logprobs = torch.zeros(total, sampling.max_tokens)
        self._lengths = [0] * total
        self._left = [sampling.n] * len(prompts)
        self._done: list[int] = []
        self._limits = torch.tensor([sampling.max_tokens] * total)

    def _cache(self, weights: PackedDecoder, slots: int, columns: int, longest: int) -> CachedDecoder:
        return self._kind(weights, slots, columns, longest)

    def limit(self, limits: Sequence[int]) -> None:
        """Longest length of each row, prompt-major, none above ``max_tokens``."""
        assert len(limits) == len(self._limits)
        self._limits = torch.tensor(list(limits))
        assert int(self._limits.max()) <= self._sampling.max_tokens

    def run(self) -> Iterator[int]:
        """Until no row is left; yields each prompt once its last row has ended."""
        while self._waiting or len(self._row_of):
            if self._waiting and len(self._row_of) <= self._slots - max(1, self._slots // 8):
                self._refill()
                yield from self._ended()
            if len(self._row_of):
                self._advance()
                yield from self._ended()

    def _ended(self) -> list[int]:
        """Prompts that have just ended; each is named once."""
        ended, self._done = self._done, []
        return ended

    def completions(self, prompt: int, tokenizer: Tokenizer, version: int) -> Iterator[Completion]:
        """Records of a prompt's rows, in order."""
        for row in range(prompt * self._sampling.n, (prompt + 1) * self._sampling.n):
            length = self._lengths[row]
            tokens, logprobs = self._out[row, :length].tolist(), self._logprobs[row, :length].tolist()
            yield completion_of(tokenizer, self._stopping, tokens, logprobs, version)

    def _refill(self) -> None:
        """Bring waiting rows in flight, with their first token."""
        live = len(self._row_of)
        if not live:
            self._decoder.rewind(self._longest_prompt)
        rows, prefixes = [], []
        for row, prefix in self._take(self._slots - live):
            rows.append(row)
            prefixes.append(prefix)
        self._decoder.admit(prefixes, live)
        new = torch.tensor(rows)
        device = self._decoder.device
        uniform = uniforms(self._seeds[new.to(device)], 0, 1)
        hidden = torch.stack([prefix.hidden for prefix in prefixes])
        tokens, logprobs = self._draw(hidden, uniform[:, 0], rows)
        self._row_of = torch.cat([self._row_of, new])
        self._ages = torch.cat([self._ages, torch.zeros(len(new), dtype=torch.int64)])
        self._tokens = torch.cat([self._tokens, tokens])
        self._harvest(live, tokens[:, None], logprobs[:, None])

    def _take(self, room: int) -> Iterator[tuple[int, Prefix]]:
        """Up to ``room`` waiting rows in order, each with its prompt's prefix; a prompt is run once."""
        n = self._sampling.n
        self._prefill(room)
        while room and self._waiting:
            group = self._waiting[0]
            assert group.prefix is not None
            count = min(room, n - group.next_row)
            for row in range(group.next_row, group.next_row + count):
                yield group.prompt * n + row, group.prefix
            group.next_row += count
            room -= count
            if group.next_row == n:
                self._waiting.popleft()

    def _prefill(self, room: int) -> None:
        """Run the prompts of the next ``room`` rows, a bounded number of tokens at a time."""
        batch: list[Waiting] = []
        tokens = 0
        for group in self._waiting:
            if room <= 0:
                break
            room -= self._sampling.n - group.next_row
            if group.prefix is not None:
                continue
            if batch and tokens + len(self._prompts[group.prompt]) > _PREFILL_TOKENS:
                self._run_prompts(batch)
                batch, tokens = [], 0
            batch.append(group)
            tokens += len(self._prompts[group.prompt])
        self._run_prompts(batch)

    def _run_prompts(self, groups: Sequence[Waiting]) -> None:
        prefixes = self._decoder.prefill([self._prompts[group.prompt] for group in groups])
        for group, prefix in zip(groups, prefixes, strict=True):
            group.prefix = prefix

    def _advance(self) -> None:
        """A few steps of every row in flight, then drop those that ended."""
        steps = int(self._sampling.max_tokens - self._ages.max())
        steps = min(self._check_every, steps, self._decoder.free_columns)
        if steps == 0:
            self._decoder.rewind(self._longest_prompt)
            return
        device = self._decoder.device
        uniform = uniforms(self._seeds[self._row_of.to(device)], self._ages.to(device), steps)
        drawn, scored, rows = [], [], self._row_of.tolist()
        for index in range(steps):
            hidden = self._decoder.step(self._tokens)
            self._tokens, logprobs = self._draw(hidden, uniform[:, index], rows)
            drawn.append(self._tokens)
            scored.append(logprobs)
        self._harvest(0, torch.stack(drawn, 1), torch.stack(scored, 1))

    def _draw(self, hidden: Tensor, uniform: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Tokens and log-probs [n] from hidden states [n, d], a bounded number of logits at a time."""
        if len(hidden) <= self._at_once:
            return self._pick(self._decoder.head(hidden), uniform, rows)
        tokens, logprobs = [], []
        for first in range(0, len(hidden), self._at_once):
            some = slice(first, first + self._at_once)
            drawn, scored = self._pick(self._decoder.head(hidden[some]), uniform[some], rows[some])
            tokens.append(drawn)
            logprobs.append(scored)
        return torch.cat(tokens), torch.cat(logprobs)

    def _pick(self, logits: Tensor, uniform: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Tokens and log-probs [n] of the rows' logits [n, V]."""
        return sample(logits, uniform, self._sampling.temperature, self._sampling.top_p)

    def _harvest(self, first: int, tokens: Tensor, logprobs: Tensor, counts: Tensor | None = None) -> None:
        """Store tokens [m, steps] of the slots from ``first`` on, and let go of the rows that ended in them.

        ``counts``: how many of a row's are its own, the others being written over by what comes next; None: all.
        """
        tokens, logprobs = tokens.cpu(), logprobs.cpu()
        rows, ages = self._row_of[first:], self._ages[first:]
        places = ages[:, None] + torch.arange(tokens.shape[1])
        watched = self._watched[tokens]
        if counts is None:
            counts = torch.full((len(rows),), tokens.shape[1])
        else:
            watched &= torch.arange(tokens.shape[1]) < counts[:, None]
        self._out[rows[:, None], places] = tokens
        self._logprobs[rows[:, None], places] = logprobs
        ended = watched.any(1) | (ages + counts >= self._limits[rows])
        gone = []
        for index in ended.nonzero()[:, 0].tolist():
            row, age = int(rows[index]), int(ages[index])
            written = self._out[row, : age + int(counts[index])].tolist()
            length = self._stopping.length(written, age, int(self._limits[row]))
            if length is not None:
                gone.append(first + index)
                self._end(row, length)
        self._ages[first:] += counts
        if gone:
            self._drop(gone)

    def _end(self, row: int, length: int) -> None:
        """A row ended at this length."""
        self._lengths[row] = length
        prompt = row // self._sampling.n
        self._left[prompt] -= 1
        if not self._left[prompt]:
            self._done.append(prompt)

    def _drop(self, gone: Sequence[int]) -> None:
        """Free slots: the last rows in flight move into the holes."""
        total = len(self._row_of)
        live = total - len(gone)
        leaving = set(gone)
        target = [slot for slot in gone if slot < live]
        source = [slot for slot in range(live, total) if slot not in leaving]
        self._decoder.move(target, source, live)
        for one in (self._row_of, self._ages, self._tokens):
            if target:
                one[target] = one[source]
        self._row_of, self._ages, self._tokens = self._row_of[:live], self._ages[:live], self._tokens[:live]
