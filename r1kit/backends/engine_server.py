"""Engines for ranks elsewhere: what ``backends.serve engine`` does with its connections.

One thread computes; it takes what waits in the order it came, and requests that wait together, with the same sampling
and of whichever rank, are sampled together. An engine lives as long as a rank is connected for it.
"""

from __future__ import annotations

import threading
import traceback
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from r1kit.cluster.wire import Lost, Wire
from r1kit.errors import InputError, R1Error
from r1kit.model.weights import Weight
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Engine, Telling
from r1kit.rollout.kept import as_bytes

__all__ = ["EngineServer", "OpenFrom"]

OpenFrom = Callable[[bytes], Engine]
"""An engine of what ``Opening.payload`` holds; its weights are still to come."""


@dataclass(slots=True)
class _Served:
    engine: Engine
    users: int = 0
    version: int | None = None
    """Of its weights; None: it has none, or a mixture."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Prompts of one request."""

    key: str
    wire: Wire
    number: int
    prompts: Sequence[Sequence[int]]
    sampling: Sampling
    seeds: Sequence[int]
    expected: int | None


class EngineServer:
    def __init__(self, open_from: OpenFrom, end: Callable[[str], None]) -> None:
        """
        Args:
            open_from: makes an engine.
            end: ends this process, with the reason: for an engine that cannot be trusted any more.
        """
        self._open_from, self._end = open_from, end
        self._served: dict[str, _Served] = {}
        self._jobs: deque[_Ask | Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self.sampling = False
        """Whether the thread computes at the moment; then its processor time must grow."""
        self.thread = threading.Thread(target=self._compute, name="engine", daemon=True)
        self.thread.start()

    @property
    def state(self) -> dict[str, int | None]:
        """Version by key, for whoever asks for a sign of life."""
        return {key: served.version for key, served in list(self._served.items())}

    # ---- connections ------------------------------------------------------------------------------------------------

    def requests(self, wire: Wire, key: str) -> None:
        """A rank's requests, until it leaves."""
        if not self._on_thread(lambda: self._join(key)):
            wire.send("unknown")
            (payload,) = wire.receive()
            try:
                self._on_thread(lambda: self._open(key, payload))
            except R1Error as error:
                wire.send("refused", error.exit_code, str(error))
                return
        wire.send("open")
        try:
            while True:
                number, *request = wire.receive()
                self._add(_Ask(key, wire, number, *request))
        finally:
            self._add(lambda: self._leave(key))

    def _join(self, key: str) -> bool:
        """Whether there is such an engine, for which the connection then counts."""
        if key in self._served:
            self._served[key].users += 1
        return key in self._served

    def _open(self, key: str, payload: bytes) -> None:
        if not self._join(key):  # another rank may have been faster
            self._served[key] = _Served(self._open_from(payload), users=1)

    def _leave(self, key: str) -> None:
        served = self._served[key]
        served.users -= 1
        if not served.users:
            self._served.pop(key).engine.close()

    def weights(self, wire: Wire, key: str) -> None:
        """One hand-over."""
        weights, version = wire.receive()
        coming = _Coming(wire, [Weight(*weight) for weight in weights])
        try:
            self._on_thread(lambda: self._load(key, coming, version))
            wire.send("held")
        except R1Error as error:
            wire.send("refused", error.exit_code, str(error))
        except Lost as lost:
            wire.send("lost", str(lost))

    def _load(self, key: str, coming: _Coming, version: int) -> None:
        if key not in self._served:
            raise Lost("it was restarted meanwhile")
        served = self._served[key]
        try:
            served.engine.load_weights(coming, version)
            coming.drain()
        except BaseException:
            if coming.begun:
                served.version = None
            raise
        served.version = version

    # ---- the thread that computes -----------------------------------------------------------------------------------

    def _add(self, job: _Ask | Callable[[], None]) -> None:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def _on_thread(self, work: Callable[[], Any]) -> Any:
        """What ``work`` returns on the thread that computes; or what it raises."""
        found: Future[Any] = Future()

        def do() -> None:
            try:
                found.set_result(work())
            except BaseException as error:
                found.set_exception(error)

        self._add(do)
        return found.result()

    def _compute(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs)
                job = self._jobs.popleft()
                asks = [job] if isinstance(job, _Ask) else []
                while asks and self._jobs and _together(asks[0], self._jobs[0]):
                    asks.append(self._jobs.popleft())  # type: ignore[arg-type]
            if not isinstance(job, _Ask):
                job()
                continue
            self.sampling = True
            self._answer(asks)
            self.sampling = False

    def _answer(self, asks: Sequence[_Ask]) -> None:
        served = self._served.get(asks[0].key)
        held = served.version if served is not None else None
        for ask in asks:
            if held is None or held < (ask.expected or 0):
                _send(ask, "lost", "it has no weights yet" if held is None else f"it still has version {held}")
        asks = [ask for ask in asks if held is not None and held >= (ask.expected or 0)]
        if not asks or served is None:
            return
        try:
            _sample(served.engine, asks)
        except InputError as error:
            if len(asks) > 1:
                for ask in asks:
                    self._answer([ask])
            else:
                _send(asks[0], "refused", error.exit_code, str(error))
        except Exception as error:
            traceback.print_exc()
            self._end(f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        else:
            for ask in asks:
                _send(ask, "done")


def _together(one: _Ask, other: _Ask | Callable[[], None]) -> bool:
    return isinstance(other, _Ask) and (one.key, one.sampling) == (other.key, other.sampling)


def _sample(engine: Engine, asks: Sequence[_Ask]) -> None:
    """Sample the prompts of all, and tell each asker as they end."""
    places = [(ask, place) for ask in asks for place in range(len(ask.prompts))]
    prompts = [ask.prompts[place] for ask, place in places]
    seeds = [ask.seeds[place] for ask, place in places]

    def ended(index: int, completions: tuple[Completion, ...]) -> None:
        ask, place = places[index]
        _send(ask, "told", place, completions)

    if isinstance(engine, Telling):
        engine.generate_each(prompts, asks[0].sampling, seeds, ended)
    else:
        for index, completions in enumerate(engine.generate(prompts, asks[0].sampling, seeds)):
            ended(index, completions)


def _send(ask: _Ask, *told: Any) -> None:
    with suppress(Lost):  # the rank is gone
        ask.wire.send(ask.number, *told)


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
