"""An engine in a process of ours, as a rank sees it; ``backends.engine_room`` is the other end.

The model reaches it as a skeleton (``model.skeleton``) and as a stream of tensors, cast to the engine's dtype and each
followed by its checksum: no path is shared.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.cluster.directory import Address, where
from r1kit.cluster.link import refusal
from r1kit.cluster.remote import Opened, Remote
from r1kit.cluster.settings import Cluster
from r1kit.cluster.wire import Lost, Wire
from r1kit.model.weights import Weight
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Ended, all_told
from r1kit.rollout.kept import as_bytes

__all__ = ["Opening", "RemoteEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What engines are opened with, alike on all ranks."""

    opened: Opened
    positions: int
    dtype: torch.dtype
    """Of the engine: weights are cast before they are sent."""


class RemoteEngine(Remote):
    """``Replica`` and ``Telling``."""

    def __init__(
        self, number: int, opening: Opening, rank: int, cluster: Cluster,
        find: Callable[[str], Address | None] = where,
    ) -> None:  # fmt: skip
        """
        Args:
            opening: what it samples with.
            rank: whose this is.
            number, cluster, find: see ``Remote``.
        """
        super().__init__(number, opening.opened, cluster, find)
        self._opening, self._rank = opening, rank
        self._expected: int | None = None
        self.over_update = "wait"
        """See ``Detached``; set by the pool."""
        self._sending: Wire | None = None

    @property
    def positions(self) -> int:
        """See ``Bounded``."""
        return self._opening.positions

    # ---- requests ---------------------------------------------------------------------------------------------------

    def generate(self, prompt: Sequence[int], sampling: Sampling, seed: int) -> tuple[Completion, ...]:
        """See ``Replica``."""
        return all_told(self.generate_each, [prompt], sampling, [seed])[0]

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Ended,
    ) -> None:
        """See ``Telling``."""
        request = ([tuple(prompt) for prompt in prompts], sampling, list(seeds), self._expected, self.over_update)
        for place, completions in self.ask(*request):
            ended(place, completions)

    def expect(self, version: int) -> None:
        """See ``Replica``."""
        self._expected = version

    def alive(self) -> None:
        """See ``Remote`` and ``Replica``."""
        super().alive()
        if self._rank and self._expected is not None:
            held = self.link().look().get(self.opened.key)
            if held is None or held < self._expected:
                raise Lost(f"it has no weights of version {self._expected} yet")

    # ---- weights ----------------------------------------------------------------------------------------------------

    def begin(self, weights: Sequence[Weight], version: int) -> None:
        """See ``Replica``; returns when the engine has looked at them and is ready to take them."""
        wire = self._sending = self.link().wire("weights")
        wire.send([(name, self._cast(dtype), shape) for name, dtype, shape in weights], version)
        self._answer("go")

    def put(self, name: str, tensor: Tensor) -> int:
        """See ``Replica``."""
        assert self._sending is not None
        data = as_bytes(tensor.to(self._cast(tensor.dtype)))
        self._sending.send_raw(data)
        self._sending.send(zlib.crc32(data))
        return data.nbytes

    def finish(self, version: int) -> None:
        """See ``Replica``."""
        self._answer("held")
        self.abort()

    def abort(self) -> None:
        """See ``Replica``."""
        if self._sending is not None:
            wire, self._sending = self._sending, None
            link = self._link
            if link is not None:
                link.hang_up(wire)

    def _answer(self, wanted: str) -> None:
        assert self._sending is not None
        kind, *told = self._sending.receive()
        if kind == "lost":
            raise Lost(*told)
        if kind != wanted:
            raise refusal(*told)

    def _cast(self, dtype: torch.dtype) -> torch.dtype:
        return self._opening.dtype if dtype.is_floating_point else dtype
