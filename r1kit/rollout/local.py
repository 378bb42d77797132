"""The local engine: one process, one device, rows refilled as others end.

A prompt is run once for its group. Rows that ended leave the batch at once (the last rows take their slots, so only
as many rows are copied as ended), waiting rows take their place, and memory stays within ``max_rows`` and
``max_cache_tokens`` however many prompts a call brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.weights import NamedWeights, WeightStream
from r1kit.records import Completion, Sampling
from r1kit.rollout.decode import CachedDecoder
from r1kit.rollout.drafts import DraftedFlight
from r1kit.rollout.engine import Ended, all_told
from r1kit.rollout.flight import SLACK, Flight
from r1kit.rollout.graphs import GraphedDecoder, graphs_serve
from r1kit.rollout.packed import PackedDecoder
from r1kit.rollout.recorded import RecordedFlight
from r1kit.rollout.stopping import Stopping, Tokenizer, check_room, completing_tokens

__all__ = ["LocalEngine"]


class LocalEngine:
    """Samples with a copy of a ``Decoder`` in the engine's own dtype."""

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_rows: int = 256,
        max_cache_tokens: int | None = None,
        end_ids: Sequence[int] | None = None,
        check_every: int = 4,
        version: int = 0,
        weights: WeightStream | None = None,
        draft: bool = False,
        replay: bool = False,
    ) -> None:
        """
        Args:
            model: what to sample from; copied, so later changes arrive through ``load_weights`` only.
            tokenizer: decodes completions; its end token ends them unless ``end_ids`` says otherwise.
            max_rows: rows in flight; further ones wait.
            max_cache_tokens: rows in flight times cache columns stay below this.
            end_ids: tokens that end a completion.
            check_every: steps between looks at which rows ended; the result does not depend on it.
            version: policy version of ``model``'s weights.
            weights: instead of the model's own, which then may hold none.
            draft: a token further, where the model predicts it (``rollout.drafts``); by closed calls alone.
            replay: completions tell their experts (``rollout.recorded``); by closed calls alone.

        Raises:
            InputError: the model drafts nothing, or has no experts.
        """
        if draft and not model.config.ahead:
            raise InputError("draft is for a model with a layer that predicts a token further (deepseek_v3); drop it")
        if replay and (draft or not model.config.experts):
            raise InputError("replay is for a model with experts, and not beside draft: drop one of them")
        self._draft, self._kind = draft, DraftedFlight if draft else RecordedFlight if replay else Flight
        self.drafts = [0, 0]
        """Made so far, and hit."""
        if max_rows < 1:
            raise InputError(f"max_rows is {max_rows}; give 1 or more rows to hold in flight.")
        self.tokenizer = tokenizer
        self._config, self._device, self._dtype = model.config, torch.device(device), dtype
        self._weights: PackedDecoder | None = self._packed(weights or NamedWeights(model.hub_weights()))
        self._open, self.positions = True, model.config.max_positions
        self.max_rows, self._max_cache_tokens, self.check_every = max_rows, max_cache_tokens, check_every
        ends = end_ids if end_ids is not None else [tokenizer.eos_token_id]
        self._ends = tuple(end for end in ends if end is not None)
        self._version = version
        self._completing: dict[tuple[str, ...], Tensor] = {}

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        limits: Sequence[int] | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine.generate``. ``limits``: longest length of each row, prompt-major, none above ``max_tokens``."""
        return all_told(partial(self.generate_each, limits=limits), prompts, sampling, seeds)

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Ended,
        limits: Sequence[int] | None = None,
    ) -> None:
        """See ``Telling.generate_each``."""
        assert self._weights is not None, "the engine is closed, or was released and has no weights yet"
        assert len(prompts) == len(seeds)
        assert all(len(prompt) for prompt in prompts)
        if not prompts:
            return
        check_room(prompts, sampling.max_tokens, self._config.max_positions)
        with torch.inference_mode():
            flight = self._flight(self._weights, prompts, sampling, seeds)
            if limits is not None:
                flight.limit(limits)
            for prompt in flight.run():
                ended(prompt, tuple(flight.completions(prompt, self.tokenizer, self._version)))
            if isinstance(flight, DraftedFlight):
                self.drafts = [self.drafts[0] + flight.drafted, self.drafts[1] + flight.hit]

    def _flight(
        self, weights: PackedDecoder, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> Flight:
        room, total = max(len(prompt) for prompt in prompts), len(prompts) * sampling.n
        longest = room + sampling.max_tokens
        slots = self.rows_in_flight(total, longest)
        columns = longest + (SLACK if slots < total else 0)
        return self._kind(
            weights, self.stopping(sampling), prompts, sampling, seeds, room=room, slots=slots, columns=columns,
            check_every=self.check_every, cached=self.cached,
        )  # fmt: skip

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """Cast a copy of the stream into the engine's dtype and device."""
        assert self._open, "the engine is closed, or released: resume() comes first"
        self._weights = self._packed(stream)
        self._version = version

    def release(self) -> None:
        """Drop the weights; caches live no longer than a call."""
        self._weights, self._open = None, False
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def resume(self) -> None:
        """Ready for ``load_weights``."""
        self._open = True

    def close(self) -> None:
        """Drop the weights."""
        self.release()

    def _packed(self, stream: WeightStream) -> PackedDecoder:
        with torch.inference_mode():
            with torch.device("meta"):
                empty = Decoder(self._config)
            model = empty.to(self._dtype).to_empty(device=self._device).requires_grad_(False)
            model.load_hub_weights(stream)
            return PackedDecoder(model, ahead=self._draft)

    def rows_in_flight(self, rows: int, columns: int) -> int:
        """Slots for a call of ``rows`` rows of at most ``columns`` tokens, prompt included."""
        allowed = self.max_rows
        if self._max_cache_tokens is not None:
            allowed = min(allowed, self._max_cache_tokens // (columns + SLACK))
            if allowed < 1:
                raise InputError(
                    f"max_cache_tokens is {self._max_cache_tokens}; one row of this call needs {columns + SLACK}: "
                    "raise it or lower max_tokens."
                )
        return min(allowed, rows)

    def stopping(self, sampling: Sampling) -> tuple[Stopping, Tensor]:
        """Where rows end, and bool [V], host: tokens after which a row may have ended."""
        vocab = self._config.vocab_size
        if sampling.stop not in self._completing:
            self._completing[sampling.stop] = completing_tokens(self.tokenizer, sampling.stop, vocab)
        completing = self._completing[sampling.stop]
        watched = completing.clone()
        watched[list(self._ends)] = True
        return Stopping(self.tokenizer, sampling, self._ends, completing), watched

    @property
    def cached(self) -> type[CachedDecoder]:
        """What runs the steps of a call."""
        return GraphedDecoder if graphs_serve(self._config, self._device) else CachedDecoder

    @property
    def held(self) -> tuple[PackedDecoder, int]:
        """The newest weights and their version."""
        assert self._weights is not None, "the engine is closed, or was released and has no weights yet"
        return self._weights, self._version
