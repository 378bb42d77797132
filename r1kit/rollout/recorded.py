"""Which experts every token chose while it was sampled, so that the learner can take the same ones (routing replay,
2510.11370).

Engine and learner round otherwise, and where two experts' scores are close one of them may choose the other expert: the
log-prob then jumps, and the ratio between policy and sampler with it.

Axes: n rows, T tokens of a prompt, L layers with experts, k experts a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from r1kit.model.routes import Routes
from r1kit.records import Completion
from r1kit.rollout.decode import CachedDecoder, Prefix
from r1kit.rollout.flight import Flight
from r1kit.rollout.packed import PackedDecoder
from r1kit.rollout.stopping import Tokenizer

__all__ = ["RecordedFlight"]


class RecordingDecoder(CachedDecoder):
    """Keeps what its tokens chose until somebody asks."""

    def __init__(self, weights: PackedDecoder, rows: int, columns: int, longest: int) -> None:
        super().__init__(weights, rows, columns, longest)
        self._routes = Routes(chosen={})
        self.steps: list[Tensor] = []
        """int16 [n, L, k] of each step since it was emptied."""

    def step(self, tokens: Tensor) -> Tensor:
        """See ``CachedDecoder.step``."""
        hidden = super().step(tokens)
        self.steps.append(self._chosen())
        return hidden

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        """See ``CachedDecoder.prefill``: those of a length in one pass, which is one record."""
        found: dict[int, Prefix] = {}
        for length in {len(prompt) for prompt in prompts}:
            places = [place for place, prompt in enumerate(prompts) if len(prompt) == length]
            prefixes = super().prefill([prompts[place] for place in places])
            chosen = self._chosen().unflatten(0, (len(places), length))
            for place, prefix, own in zip(places, prefixes, chosen, strict=True):
                found[place] = replace(prefix, experts=own)
        return [found[place] for place in range(len(prompts))]

    def _chosen(self) -> Tensor:
        """Of the last pass, in the order of its tokens."""
        assert self._routes is not None
        assert self._routes.chosen is not None
        return torch.stack([one for _, one in sorted(self._routes.chosen.items())], 1).short().cpu()


class RecordedFlight(Flight):
    """Completions that tell their experts."""

    def _cache(self, weights: PackedDecoder, slots: int, columns: int, longest: int) -> CachedDecoder:
        self._prompt_experts: dict[int, Tensor] = {}
        self._experts: dict[int, list[Tensor]] = {}
        return RecordingDecoder(weights, slots, columns, longest)

    def _take(self, room: int) -> Iterator[tuple[int, Prefix]]:
        for row, prefix in super()._take(room):
            assert prefix.experts is not None
            self._prompt_experts[row // self._sampling.n] = prefix.experts
            self._experts[row] = []
            yield row, prefix

    def _harvest(self, first: int, tokens: Tensor, logprobs: Tensor, counts: Tensor | None = None) -> None:
        decoder = self._decoder
        assert isinstance(decoder, RecordingDecoder)
        if decoder.steps:  # of every row in flight: each step read the token before the one that it drew
            for row, own in zip(self._row_of.tolist(), torch.stack(decoder.steps, 1), strict=True):
                self._experts[row].append(own)
            decoder.steps = []
        super()._harvest(first, tokens, logprobs, counts)

    def completions(self, prompt: int, tokenizer: Tokenizer, version: int) -> Iterator[Completion]:
        """See ``Flight.completions``."""
        for own, completion in enumerate(super().completions(prompt, tokenizer, version)):
            pieces = self._experts.pop(prompt * self._sampling.n + own)
            whole = torch.cat([self._prompt_experts[prompt], *pieces])
            read = len(self._prompts[prompt]) + len(completion.token_ids) - 1
            yield replace(completion, experts=whole[:read])
