"""Decoding steps as CUDA graphs: a step of a small model is a thousand kernels that take longer to launch than to run.

A graph does the same work at the same addresses each time it is replayed. So the step is brought to a few shapes: rows
and columns are rounded up (by an eighth at most, where they are many), the column to write is read from the device, and
what a row must not see is masked. Rows beyond those in flight compute what nobody reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import get_ident
from typing import Any

import torch
from torch import Tensor

from r1kit.model.families.dense import DecoderConfig
from r1kit.rollout.decode import CachedDecoder
from r1kit.rollout.packed import PackedDecoder

__all__ = ["GraphedDecoder", "graphs_serve", "rounded"]

_BEFORE = 2
"""Steps of a shape that run as they are: a shape that is met so seldom is not worth a capture, which takes two."""
_WORTH = 16
"""Steps of a shape from which on it gets a graph of its own where one of up to twice the rows would do."""
_LEAST_ROWS, _LEAST_COLUMNS = 8, 256


def graphs_serve(config: DecoderConfig, device: torch.device) -> bool:
    """Whether a step can be captured. Experts count their rows on the host."""
    return device.type == "cuda" and not config.experts


@dataclass(slots=True)
class _Shape:
    """Steps of so many rows over so many columns."""

    rows: int
    columns: int
    met: int = 0
    graph: torch.cuda.CUDAGraph | None = None
    hidden: Tensor | None = None
    """[rows, d]: where the graph leaves its result."""


class GraphedDecoder(CachedDecoder):
    """A ``CachedDecoder`` whose steps are replayed. What ``step`` returns holds until the next one."""

    def __init__(self, weights: PackedDecoder, rows: int, columns: int, longest: int) -> None:
        super().__init__(weights, rows, columns, longest)
        self._longest, self._capture = longest, self.device.type == "cuda"
        self._given = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._at = torch.zeros(1, dtype=torch.int64, device=self.device)
        """The column to write."""
        self._forget()

    def take(self, weights: PackedDecoder) -> None:
        """See ``CachedDecoder.take``. Graphs hold the old weights' addresses."""
        super().take(weights)
        self._forget()

    def _forget(self) -> None:
        """No shape was met, and graphs get a pool of memory of their own: that of dropped ones is no longer one."""
        self._shapes: dict[tuple[int, int], _Shape] = {}
        self._pool: Any = torch.cuda.graph_pool_handle() if self._capture else None

    def step(self, tokens: Tensor) -> Tensor:
        """See ``CachedDecoder.step``."""
        n = len(tokens)
        self._given[:n] = tokens
        self._at.fill_(self.column)
        shape = self._shape(n)
        if self._capture and shape.met > _BEFORE and shape.graph is None:
            self._record(shape)
        if shape.graph is None:
            hidden = self._padded_pass(shape.rows, shape.columns)
        else:
            shape.graph.replay()
            assert shape.hidden is not None
            hidden = shape.hidden
        self.column += 1
        return hidden[:n]

    def _shape(self, n: int) -> _Shape:
        """The shape for ``n`` rows, or, as rows end and it may not last, a captured one that is somewhat larger."""
        rows = min(rounded(n, _LEAST_ROWS), self._rows)
        columns = min(rounded(self.column + 1, _LEAST_COLUMNS), self._most)
        exact = self._shapes.setdefault((rows, columns), _Shape(rows, columns))
        exact.met += 1
        if exact.graph is None and exact.met < _WORTH:
            for shape in self._shapes.values():
                if shape.graph is not None and shape.columns == columns and rows < shape.rows <= 2 * rows:
                    return shape
        return exact

    def _record(self, shape: _Shape) -> None:
        """Capture, after a pass on the same stream: libraries prepare at their first call. Other threads go on."""
        graph, stream = torch.cuda.CUDAGraph(), _side_stream(self.device, get_ident())
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            self._padded_pass(shape.rows, shape.columns)
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                shape.hidden = self._padded_pass(shape.rows, shape.columns)
            finally:
                graph.capture_end()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        shape.graph = graph

    def _padded_pass(self, rows: int, columns: int) -> Tensor:
        """Hidden states [rows, d]."""
        starts = self._starts[:rows].minimum(self._at)  # a row that nobody reads sees itself, or the cache has NaN
        seen = self._columns[:columns]
        unseen = (seen < starts[:, None]) | (seen > self._at)
        masks: dict[int, tuple[int, Tensor | None]] = {}
        for window in {layer.window for layer in self._config.layer_list}:
            hidden = unseen | (seen <= self._at - window) if window else unseen
            mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
            masks[window] = 0, mask.masked_fill_(hidden, -torch.inf)[:, None]
        return self._token_pass(self._given[:rows], (self._at - starts).clamp_(max=self._longest - 1), masks, columns)

    def _write(self, cache: Tensor, kv: Tensor) -> None:
        cache.index_copy_(3, self._at, kv[:, :, :, None])

    def _remask(self) -> None:
        """Masks are made in the step."""


@cache
def _side_stream(device: torch.device, thread: int) -> torch.cuda.Stream:
    """One for all captures of a thread: libraries keep tens of MB for each stream that they were called on."""
    return torch.cuda.Stream(device)


def rounded(count: int, least: int) -> int:
    """Up to a multiple of ``least``, or of an eighth of the power of two above where that is more."""
    step = max(least, (1 << (count - 1).bit_length()) // 8)
    return -(-count // step) * step
