"""Weights from the learner to replicas: a stream gone through once, each tensor sent to all side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from r1kit.cluster.wire import Lost
from r1kit.errors import InputError
from r1kit.rollout.replica import Replica

if TYPE_CHECKING:
    from r1kit.model.weights import Weight, WeightStream
    from r1kit.rollout.kept import KeptWeights

__all__ = ["HandOver", "Handed", "handed_metrics"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a hand-over took."""

    waited: float = 0.0
    """Seconds until what was being sampled had ended."""
    seconds: float = 0.0
    """From its begin to the last replica's word that it holds the version."""
    sent: int = 0
    """Bytes, over all replicas."""


@runtime_checkable
class Taking(Protocol):
    """An engine that says what its last hand-over took."""

    handed: Handed


def handed_metrics(engine: object) -> dict[str, float]:
    """For ``metrics.jsonl``; nothing where weights go from memory to memory of one process."""
    if not isinstance(engine, Taking):
        return {}
    return {"hand_over_seconds": engine.handed.seconds, "hand_over_bytes": engine.handed.sent}


class HandOver:
    """``begin``, then ``send``. A replica that fails is left out from there on and told to drop what it has."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.failed: dict[Replica, str] = {}
        """Which replicas have failed, and why."""
        self.sent = 0
        """Bytes, over all replicas."""
        self._taking = list(replicas)
        self._threads = ThreadPoolExecutor(max(1, len(self._taking)), "hand-over")

    def begin(self, weights: Sequence[Weight], version: int) -> str:
        """Say what comes. Why the weights do not fit the replicas' model, after which no replica expects any more of
        them; empty: they fit."""
        try:
            self._each(lambda replica: replica.begin(weights, version))
        except InputError as error:
            for replica in self._taking:
                with suppress(Lost):
                    replica.abort()
            return str(error)
        return ""

    def send(self, stream: WeightStream, version: int, keep: KeptWeights | None = None) -> None:
        """Go through the whole stream, whoever fails meanwhile; the version is told after the last tensor."""
        for name, tensor in stream:
            if keep is not None:
                keep.add(tensor)
            self.sent += sum(self._each(lambda replica: replica.put(name, tensor)))  # noqa: B023  (waited for)
        if keep is not None:
            keep.finish()
        self._each(lambda replica: replica.finish(version))

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)

    def _each(self, call: Callable[[Replica], _T]) -> list[_T]:
        """What every replica returns that still takes weights, asked side by side."""
        asked = [(replica, self._threads.submit(call, replica)) for replica in self._taking]
        found = []
        for replica, answer in asked:
            try:
                found.append(answer.result())
            except Lost as lost:
                self.failed[replica] = str(lost)
                self._taking.remove(replica)
                with suppress(Lost):
                    replica.abort()
        return found
