"""Engines for ranks elsewhere: what ``backends.serve engine`` does with its connections.

Requests that wait together, with the same sampling and of whichever rank, are sampled together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from r1kit.backends.room import Ask, Room
from r1kit.cluster.wire import Lost, Wire
from r1kit.errors import InputError, R1Error
from r1kit.model.weights import Weight
from r1kit.records import Completion
from r1kit.rollout.engine import Engine, Telling
from r1kit.rollout.kept import as_bytes

__all__ = ["EngineRoom", "OpenFrom"]

OpenFrom = Callable[[bytes], Engine]
"""An engine of what ``Opened.payload`` holds; its weights are still to come."""


class EngineRoom(Room[Engine]):
    """A request is (prompts, sampling, seeds, version that is expected)."""

    def __init__(self, open_from: OpenFrom, end: Callable[[str], None]) -> None:
        """``open_from``: makes an engine; ``end``: see ``Room``."""
        self._open_from = open_from
        super().__init__(end)

    def open(self, payload: bytes) -> Engine:
        """See ``Room``."""
        return self._open_from(payload)

    def close(self, thing: Engine) -> None:
        """See ``Room``."""
        thing.close()

    def together(self, one: Ask, other: Ask) -> bool:
        """Those with the same sampling."""
        return bool(one.request[1] == other.request[1])

    def answer(self, thing: Engine, asks: Sequence[Ask]) -> None:
        """Sample; what expects newer weights than there are is lost."""
        held = self.kept[asks[0].key].version
        due = [ask for ask in asks if held is not None and held >= (ask.request[3] or 0)]
        for ask in asks:
            if ask not in due:
                ask.send("lost", "it has no weights yet" if held is None else f"it still has version {held}")
        try:
            if due:
                _sample(thing, due)
        except InputError as error:
            if len(due) == 1:
                due[0].send("refused", error.exit_code, str(error))
                return
            for ask in due:
                self.answer(thing, [ask])
        else:
            for ask in due:
                ask.send("done")

    def weights(self, wire: Wire, key: str) -> None:
        """One hand-over."""
        weights, version = wire.receive()
        coming = _Coming(wire, [Weight(*weight) for weight in weights])
        try:
            self.on_thread(lambda: self._load(key, coming, version))
            wire.send("held")
        except R1Error as error:
            wire.send("refused", error.exit_code, str(error))
        except Lost as lost:
            wire.send("lost", str(lost))

    def _load(self, key: str, coming: _Coming, version: int) -> None:
        if key not in self.kept:
            raise Lost("it was restarted meanwhile")
        kept = self.kept[key]
        try:
            kept.thing.load_weights(coming, version)
            coming.drain()
        except BaseException:
            if coming.begun:
                kept.version = None
            raise
        kept.version = version


def _sample(engine: Engine, asks: Sequence[Ask]) -> None:
    """Sample the prompts of all, and tell each asker as they end."""
    sampling = asks[0].request[1]
    places = [(ask, place) for ask in asks for place in range(len(ask.request[0]))]
    prompts = [ask.request[0][place] for ask, place in places]
    seeds = [ask.request[2][place] for ask, place in places]

    def ended(index: int, completions: tuple[Completion, ...]) -> None:
        ask, place = places[index]
        ask.send("told", place, completions)

    if isinstance(engine, Telling):
        engine.generate_each(prompts, sampling, seeds, ended)
    else:
        for index, completions in enumerate(engine.generate(prompts, sampling, seeds)):
            ended(index, completions)


class _Coming:
    """Weights as they come over a connection: a stream that can be gone through once."""

    def __init__(self, wire: Wire, weights: Sequence[Weight]) -> None:
        self._wire, self._weights = wire, weights
        self.begun = False
        """Whether the engine has begun to take them."""

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        return self._weights

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        assert not self.begun, "weights from another process can be gone through once"
        self.begun = True
        self._wire.send("go")
        damaged = []
        for name, dtype, shape in self._weights:
            tensor = torch.empty(shape, dtype=dtype)
            data = as_bytes(tensor)
            self._wire.receive_raw(data)
            (checksum,) = self._wire.receive()
            if zlib.crc32(data) != checksum:
                damaged.append(name)
            yield name, tensor
        if damaged:  # told after all of them, when the other end listens
            raise Lost(f"weight {damaged[0]} was damaged on its way: its checksum differs")

    def drain(self) -> None:
        """Go through them where the engine has not."""
        if not self.begun:
            for _ in self:
                pass
