"""One engine of a pool, wherever it runs: what ``rollout.pool`` needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from r1kit.cluster.wire import Lost
from r1kit.records import Completion, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from r1kit.model.weights import Weight

__all__ = ["Keeping", "Replica", "ReplicaLost"]


class ReplicaLost(Lost):
    """A replica does not answer, or not as it should; ``str(error)`` is why, in a few words. It may come back."""


class Replica(Protocol):
    """An engine in a process of its own, as one of several that hold the same weights.

    Every rank has a ``Replica`` of its own for each engine. Calls come from several threads: several ``generate``,
    ``alive`` beside anything. Whatever is the fault of a process, a host or the network is ``ReplicaLost``, within
    seconds; a call that cannot be answered any more must not wait for ever. One that takes many prompts at once is a
    ``Telling`` too, and is then given its share of a call as one.
    """

    @property
    def name(self) -> str:
        """For messages: ``engine 2 (10.0.0.7:4711)``."""
        ...

    @property
    def positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        ...

    def generate(self, prompt: Sequence[int], sampling: Sampling, seed: int) -> tuple[Completion, ...]:
        """``sampling.n`` completions of one prompt by the newest weights; see ``Engine.generate``.

        Raises:
            ReplicaLost: it cannot be answered, or the engine holds no weights as new as ``expect`` named.
            InputError: the request itself is wrong.
        """
        ...

    def alive(self) -> None:
        """Return when the engine has shown that it computes (an open port shows nothing), and on every rank but 0 that
        it holds weights at least as new as ``expect`` named.

        Raises:
            ReplicaLost: it has not.
        """
        ...

    def begin(self, weights: Sequence[Weight], version: int) -> None:
        """New weights are coming, all of them; rank 0 only, as are the next three.

        Raises:
            ReplicaLost: it cannot be told.
            InputError: the weights do not fit its model.
        """
        ...

    def put(self, name: str, tensor: Tensor) -> int:
        """The next whole tensor, copied before this returns; the bytes that were sent."""
        ...

    def finish(self, version: int) -> None:
        """All were sent: completions carry ``version`` from the return of this call on, and not before."""
        ...

    def abort(self) -> None:
        """The hand-over failed: what has come of it must never serve. Another ``begin`` may follow."""
        ...

    def expect(self, version: int) -> None:
        """Rank 0 has handed this version over; what is asked for from now on is asked of it."""
        ...

    def close(self) -> None:
        """Give this rank's side back for good. Idempotent."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A replica that is to be told what becomes of prompts that are out when weights come, see ``Detached``."""

    over_update: str
