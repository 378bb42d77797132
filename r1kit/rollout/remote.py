"""An engine in a process of ours, as a rank sees it; ``backends.engine_server`` is the other end.

The model reaches it as a skeleton (``model.skeleton``) and as a stream of tensors, cast to the engine's dtype and each
followed by its checksum: no path is shared.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.cluster.directory import Address
from r1kit.cluster.link import Link, refusal
from r1kit.cluster.wire import Lost, Wire
from r1kit.model.weights import Weight
from r1kit.records import Completion, Sampling
from r1kit.rollout.kept import as_bytes

__all__ = ["Opening", "RemoteEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What engines are opened with, alike on all ranks."""

    key: str
    """Of this opening among all of the run."""
    payload: bytes
    """What the server makes an engine of."""
    positions: int
    dtype: torch.dtype
    """Of the engine: weights are cast before they are sent."""


class RemoteEngine:
    """``Replica`` and ``Telling``."""

    def __init__(
        self, name: str, where: Callable[[str], Address | None], opening: Opening, rank: int, heartbeat: float,
        lost_after: float,
    ) -> None:  # fmt: skip
        """
        Args:
            name: of the helper.
            where: its address, by its name.
            rank: whose this is.
            heartbeat, lost_after: see ``Cluster``.
        """
        self._name, self._where, self._opening, self._rank = name, where, opening, rank
        self._heartbeat, self._lost_after = heartbeat, lost_after
        self._connecting, self._closed, self._at = threading.Lock(), False, ""
        self._link: Link | None = None
        self._expected: int | None = None
        self._sending: Wire | None = None

    @property
    def name(self) -> str:
        """With its address, once that was known."""
        return f"{self._name}{self._at}"

    @property
    def positions(self) -> int:
        """See ``Bounded``."""
        return self._opening.positions

    # ---- requests ---------------------------------------------------------------------------------------------------

    def generate(self, prompt: Sequence[int], sampling: Sampling, seed: int) -> tuple[Completion, ...]:
        """See ``Replica``."""
        told: dict[int, tuple[Completion, ...]] = {}
        self.generate_each([prompt], sampling, [seed], told.__setitem__)
        return told[0]

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Callable[[int, tuple[Completion, ...]], None],
    ) -> None:
        """See ``Telling``."""
        request = ([tuple(prompt) for prompt in prompts], sampling, list(seeds), self._expected)
        for place, completions in self._linked().ask(*request):
            ended(place, completions)

    def expect(self, version: int) -> None:
        """See ``Replica``."""
        self._expected = version

    def alive(self) -> None:
        """Connects where it must; beyond that the link finds out by itself, and the server whether its engine
        computes."""
        with self._connecting:
            if self._closed:
                raise Lost("it was closed")
            if self._link is None or self._link.broken:
                self._link = self._connect()
        if self._rank and self._expected is not None:
            held = self._link.look().get(self._opening.key)
            if held is None or held < self._expected:
                raise Lost(f"it has no weights of version {self._expected} yet")

    def _connect(self) -> Link:
        address = self._where(self._name)
        if address is None:
            raise Lost("it has not started yet")
        self._at = f" at {address[0]}:{address[1]}"
        own = self._opening
        return Link(address, "engine", own.key, own.payload, self._heartbeat, self._lost_after)

    def _linked(self) -> Link:
        link = self._link
        if link is None or link.broken:
            raise Lost(link.broken if link is not None else "it has not started yet")
        return link

    # ---- weights ----------------------------------------------------------------------------------------------------

    def begin(self, weights: Sequence[Weight], version: int) -> None:
        """See ``Replica``; returns when the engine has looked at them and is ready to take them."""
        link = self._linked()
        wire = self._sending = link.wire("weights")
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

    def close(self) -> None:
        """See ``Replica``."""
        with self._connecting:
            self._closed = True
            if self._link is not None:
                self._link.close()

    def _answer(self, wanted: str) -> None:
        assert self._sending is not None
        kind, *told = self._sending.receive()
        if kind == "lost":
            raise Lost(*told)
        if kind != wanted:
            raise refusal(*told)

    def _cast(self, dtype: torch.dtype) -> torch.dtype:
        return self._opening.dtype if dtype.is_floating_point else dtype
