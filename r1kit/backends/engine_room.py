"""Engines for ranks elsewhere: what ``backends.serve engine`` does with its connections.

A request is one closed call of the engine, so that its numbers do not depend on what else is asked for. Where prompts
are kept over new weights (``Detached.over_update``) it joins what is being sampled, and weights come in between two
tokens (``rollout.session``: the local engine; any other finishes the call that it is at).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from r1kit.backends.room import Ask, Room
from r1kit.cluster.wire import Lost, Wire
from r1kit.errors import R1Error
from r1kit.faults import users_told
from r1kit.model.weights import Weight
from r1kit.records import Completion
from r1kit.rollout.engine import Engine, Telling
from r1kit.rollout.kept import as_bytes
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.session import Session
from r1kit.rollout.stopping import check_room

__all__ = ["EngineRoom", "OpenFrom"]

OpenFrom = Callable[[bytes], Engine]
"""An engine of what ``Opened.payload`` holds; its weights are still to come."""


class EngineRoom(Room[Engine]):
    """A request is (prompts, sampling, seeds, version that is expected, what new weights do to it)."""

    def __init__(self, open_from: OpenFrom, end: Callable[[str], None]) -> None:
        """``open_from``: makes an engine; ``end``: see ``Room``."""
        self._open_from = open_from
        self._sessions: dict[Engine, Session] = {}
        super().__init__(end)

    def open(self, payload: bytes) -> Engine:
        """See ``Room``."""
        with users_told("the engine"):
            return self._open_from(payload)

    def close(self, thing: Engine) -> None:
        """See ``Room``."""
        self._sessions.pop(thing, None)
        thing.close()

    def answer(self, thing: Engine, ask: Ask) -> None:
        """Sample; what expects newer weights than there are is lost."""
        held = self.kept[ask.key].version
        *_, expected, over_update = ask.request
        if held is None or held < (expected or 0):
            ask.send("lost", "it has no weights yet" if held is None else f"it still has version {held}")
            return
        try:
            with users_told("the engine"):
                if over_update == "wait" or not isinstance(thing, LocalEngine):
                    _sample(thing, ask)
                    ask.send("done")
                    return
                check_room(ask.request[0], ask.request[1].max_tokens, thing.positions)  # of all before any is begun
                if thing not in self._sessions:
                    self._sessions[thing] = Session(thing, recompute=over_update == "recompute")
                _join(self._sessions[thing], ask)
        except R1Error as error:
            ask.send("refused", error.exit_code, str(error))

    def turn(self) -> bool:
        """A few tokens of what is kept over new weights."""
        for thing, session in list(self._sessions.items()):
            if not session.advance():
                del self._sessions[thing]
        return bool(self._sessions)

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
            with users_told("the engine"):
                kept.thing.load_weights(coming, version)
            coming.drain()
        except BaseException:
            if coming.begun:
                kept.version = None
            raise
        kept.version = version


def _sample(engine: Engine, ask: Ask) -> None:
    """One closed call; tells each prompt as it ends."""
    prompts, sampling, seeds, *_ = ask.request
    if isinstance(engine, Telling):
        engine.generate_each(prompts, sampling, seeds, partial(ask.send, "told"))
    else:
        for place, completions in enumerate(engine.generate(prompts, sampling, seeds)):
            ask.send("told", place, completions)


def _join(session: Session, ask: Ask) -> None:
    """The request's prompts go along with what is being sampled."""
    prompts, sampling, seeds, *_ = ask.request
    left = set(range(len(prompts)))

    def ended(place: int, completions: tuple[Completion, ...]) -> None:
        ask.send("told", place, completions)
        left.remove(place)
        if not left:
            ask.send("done")

    for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        session.add(prompt, sampling, seed, partial(ended, place))


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
