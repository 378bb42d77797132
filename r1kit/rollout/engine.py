"""The engine protocol: prompts in, completions out. Every backend meets the loops here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from r1kit.records import Completion, Sampling

if TYPE_CHECKING:
    from r1kit.model.weights import WeightStream

__all__ = [
    "Bounded",
    "Detached",
    "Drafting",
    "Ended",
    "Engine",
    "Sleeping",
    "Telling",
    "all_told",
    "asleep",
    "drafted_metrics",
]

Ended = Callable[[int, tuple[Completion, ...]], None]
"""Is told a prompt's place and its completions."""


class Engine(Protocol):
    """Samples completions from the newest weights it was given."""

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """Draw ``sampling.n`` completions for each prompt.

        Args:
            prompts: token ids of each prompt, template applied; lengths may differ.
            sampling: how to draw.
            seeds: one 63-bit seed a prompt. Row ``i`` of a prompt draws from the stream ``(seed, i)`` alone: what
                shares its batch does not change its random numbers.

        Returns:
            One tuple of ``sampling.n`` completions a prompt, in the order of the prompts.

        Raises:
            InputError: a prompt and ``max_tokens`` pass the positions that the model knows.
        """
        ...

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """Take new weights under their hub names; completions carry ``version`` from the return of this call on.

        Raises:
            InputError: the weights do not fit the engine's model, which stays as it was.
        """
        ...

    def release(self) -> None:
        """Give the memory of weights and caches back, for whoever else needs the device meanwhile. Idempotent."""
        ...

    def resume(self) -> None:
        """Take the memory again; the weights are gone, so ``load_weights`` comes before ``generate``. Idempotent."""
        ...

    def close(self) -> None:
        """Give memory and processes back for good. Idempotent."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """An engine that says how much its model takes in."""

    @property
    def positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An engine that tells a prompt's completions as soon as the last of them has ended: scoring need not wait."""

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Ended,
    ) -> None:
        """``generate``, each prompt's completions told with its place, in the order they end; all before it returns."""
        ...


@runtime_checkable
class Sleeping(Protocol):
    """An engine in this process that keeps memory on the learner's device between two calls."""

    sleeps: bool
    """Whether it is to be released while the learner computes."""


@runtime_checkable
class Drafting(Protocol):
    """An engine that guesses tokens before the model draws them."""

    drafts: list[int]
    """Guesses, and those that were right, since somebody set both to 0."""


def drafted_metrics(engine: Engine) -> dict[str, float]:
    """Metrics of what an engine drafted since the last call; none without drafts."""
    if not isinstance(engine, Drafting) or not engine.drafts[0]:
        return {}
    made, hit = engine.drafts
    engine.drafts = [0, 0]
    return {"draft_hit_share": hit / made}


@contextmanager
def asleep(engine: Engine) -> Iterator[None]:
    """While the learner computes; weights must be handed over before the engine samples again, if it sleeps at all."""
    if not (isinstance(engine, Sleeping) and engine.sleeps):
        yield
        return
    engine.release()
    yield
    engine.resume()


def all_told(
    each: Callable[[Sequence[Sequence[int]], Sampling, Sequence[int], Ended], None],
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    seeds: Sequence[int],
) -> list[tuple[Completion, ...]]:
    """``Engine.generate`` by ``Telling.generate_each``."""
    told: dict[int, tuple[Completion, ...]] = {}
    each(prompts, sampling, seeds, told.__setitem__)
    return [told[place] for place in range(len(prompts))]


@runtime_checkable
class Detached(Protocol):
    """An engine in processes of its own: it samples while the caller learns.

    ``load_weights`` may come while prompts are out: by ``over_update`` the engine first finishes those that it has
    begun (``wait``), or takes the weights in between two tokens and tells ``Completion.spans``: over the keys and
    values that the old ones left (``keep``), or after it has read again what they wrote (``recompute``).
    """

    over_update: str
    """``wait``, ``keep`` or ``recompute``; may be set before ``submit_all``."""

    def submit_all(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Future[tuple[Completion, ...]]]:
        """``generate``, at once: a future a prompt holds its completions, or the error of ``generate``. One that is
        cancelled need not be sampled."""
        ...
