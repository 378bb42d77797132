"""The engine for models that only `transformers` can run: same streams, sampler and stop rules, slower."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.model.families.fallback import HubModel, select_rows
from r1kit.model.weights import WeightStream
from r1kit.records import Completion, Sampling
from r1kit.rollout.piece import draw_each
from r1kit.rollout.stopping import Stopping, Tokenizer, check_room, completion_of
from r1kit.rollout.streams import row_seeds, uniforms

__all__ = ["HubEngine", "Wave"]


class HubEngine:
    """Rows go in waves of ``max_rows``; a prompt is run once a wave, and rows that ended leave the batch."""

    def __init__(
        self,
        model: HubModel,
        tokenizer: Tokenizer,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_rows: int = 256,
        end_ids: Sequence[int] | None = None,
        version: int = 0,
    ) -> None:
        """Arguments as for ``LocalEngine``."""
        if max_rows < 1:
            raise InputError(f"max_rows is {max_rows}; give 1 or more rows to hold in flight.")
        self._model: HubModel | None = copy.deepcopy(model).to(device=device, dtype=dtype).requires_grad_(False)
        self._shapes = {name: weight.shape for name, weight in self._model.named_parameters()}
        self._ready = True
        self._tokenizer, self.max_rows, self._version = tokenizer, max_rows, version
        ends = end_ids if end_ids is not None else [tokenizer.eos_token_id]
        self.ends = tuple(end for end in ends if end is not None)
        """Tokens that end a completion."""

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine.generate``."""
        assert self._model is not None, "the engine is closed"
        assert self._ready, "the engine was released and has no weights yet"
        assert len(prompts) == len(seeds)
        assert all(len(prompt) for prompt in prompts)
        check_room(prompts, sampling.max_tokens, self._model.config.max_positions)
        stopping = Stopping(self._tokenizer, sampling, self.ends)
        streams = row_seeds(seeds, sampling.n)
        completions: list[Completion] = []
        with torch.inference_mode():
            for first in range(0, len(streams), self.max_rows):
                rows = range(first, min(first + self.max_rows, len(streams)))
                wave = [prompts[row // sampling.n] for row in rows]
                begun = Wave(self._model, wave, streams[rows.start : rows.stop], [sampling] * len(wave))
                for tokens, logprobs in _whole(begun, len(wave), stopping):
                    completions.append(completion_of(self._tokenizer, stopping, tokens, logprobs, self._version))
        return [tuple(completions[at : at + sampling.n]) for at in range(0, len(completions), sampling.n)]

    @property
    def model(self) -> HubModel:
        """What it samples from."""
        assert self._model is not None, "the engine is closed"
        return self._model

    @property
    def positions(self) -> int:
        """See ``Bounded``."""
        assert self._model is not None, "the engine is closed"
        return self._model.config.max_positions

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """Cast a copy of the stream into the engine's dtype and device."""
        assert self._model is not None, "the engine is closed"
        self._model.load_hub_weights(stream)
        self._version, self._ready = version, True

    def release(self) -> None:
        """Drop the weights; caches live no longer than a call. Buffers, which few streams bring, stay."""
        if self._model is None:
            return
        for weight in self._model.parameters():
            weight.data = weight.data.new_empty(0)
        self._ready = False
        if self._model.head.is_cuda:
            torch.cuda.empty_cache()

    def resume(self) -> None:
        """Make room for the weights that ``load_weights`` brings."""
        if self._model is None or self._ready:
            return
        for name, weight in self._model.named_parameters():
            weight.data = weight.data.new_empty(self._shapes[name])

    def close(self) -> None:
        """Drop the weights."""
        self._model = None


class Wave:
    """Rows that begin together and decode until each has ended; none joins, and one may be let go at any time."""

    def __init__(
        self, model: HubModel, prompts: Sequence[Sequence[int]], streams: Tensor, samplings: Sequence[Sampling]
    ) -> None:
        """One row for each of ``prompts`` (a prompt again for each of its rows), its stream of numbers and sampling."""
        self._model, device = model, model.head.device
        different = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
        which = torch.tensor([different.index(tuple(prompt)) for prompt in prompts], device=device)
        tokens, mask = _left_padded(different, device)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        logits, cache = model.step(tokens, None, mask, positions)
        self._cache = select_rows(cache, which)
        self._logits, self._mask, self._position = logits[which], mask[which], positions[which, -1:]
        self._streams, self._samplings = streams.to(device), list(samplings)
        self._steps, self._drawn = 0, torch.empty(0, dtype=torch.int64)
        self.live = list(range(len(prompts)))
        """Rows that go on."""

    def step(self) -> Iterator[tuple[int, int, float, Tensor]]:
        """The next token of every live row: (row, token, log-prob, logits [V])."""
        if self._steps:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], 1)
            self._position = self._position + 1
            self._logits, self._cache = self._model.step(self._drawn[:, None], self._cache, self._mask, self._position)
        numbers = uniforms(self._streams, self._steps, 1)[:, 0]
        self._drawn, scored = draw_each(self._logits, numbers, self._samplings)
        self._steps += 1
        yield from zip(self.live, self._drawn.tolist(), scored.tolist(), self._logits, strict=True)

    def drop(self, rows: Collection[int]) -> None:
        """These rows have ended."""
        going = [slot for slot, row in enumerate(self.live) if row not in rows]
        if len(going) == len(self.live):
            return
        self.live = [self.live[slot] for slot in going]
        if not going:
            return
        kept = torch.tensor(going, device=self._mask.device)
        self._cache = select_rows(self._cache, kept)
        self._drawn, self._mask, self._position = self._drawn[kept], self._mask[kept], self._position[kept]
        self._streams, self._samplings = self._streams[kept], [self._samplings[slot] for slot in going]


def _whole(wave: Wave, rows: int, stopping: Stopping) -> list[tuple[list[int], list[float]]]:
    """Tokens and log-probs of each row."""
    written: list[tuple[list[int], list[float]]] = [([], []) for _ in range(rows)]
    while wave.live:
        ended = []
        for row, token, logprob, _ in wave.step():
            written[row][0].append(token)
            written[row][1].append(logprob)
            if stopping.length(written[row][0], len(written[row][0]) - 1) is not None:
                ended.append(row)
        wave.drop(ended)
    return written


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """int64 and bool [P, T]: tokens and where they are real."""
    longest = max(len(prompt) for prompt in prompts)
    tokens = torch.zeros(len(prompts), longest, dtype=torch.int64)
    mask = torch.zeros(len(prompts), longest, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = True
    return tokens.to(device), mask.to(device)
