"""Several engines as one: prompts go to the least loaded, and what a lost engine had is drawn again elsewhere.

A prompt with its ``n`` rows is one request with its own seed, so it does not matter which replica answers it
(``cluster.dealing``). A replica that is back after it was lost is given the newest weights, whole, before it serves.

Every rank has a pool over the same replicas. Rank 0 hands weights over; the others go through the stream as well, which
may be a collective, and wait for rank 0's word.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from r1kit.cluster.dealing import Dealer, Member, Request, Words
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.errors import InputError
from r1kit.model.weights import as_it_is
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Ended, Telling, all_told
from r1kit.rollout.hand_over import Handed, HandOver
from r1kit.rollout.kept import KeptWeights
from r1kit.rollout.replica import Keeping, Replica, ReplicaLost

if TYPE_CHECKING:
    from r1kit.model.weights import Renamed, WeightStream

__all__ = ["Pool"]

_WORDS = Words(helper="engine", request="prompt", doing="sampling", done="sampled")


class Pool(Dealer[Replica]):
    """``Engine``, ``Telling``, ``Detached`` and ``Bounded`` over replicas."""

    def __init__(
        self, replicas: Sequence[Replica], ranks: Ranks | None = None, *, tell: Callable[[str], None] = print,
        look_every: float = 2.0, patience: float = 600.0, published: Renamed = as_it_is,
    ) -> None:  # fmt: skip
        """
        Args:
            replicas: at least one; the pool closes them.
            ranks: that share them, each with a pool of its own.
            tell: takes a line for the user; rank 0's is used.
            look_every: seconds between two looks at whether a replica lives, or is back.
            patience: seconds without any replica after which what waits fails.
            published: see ``LanguageModel.published``.
        """
        self._ranks = ranks or Solo()
        self._over_update, self._published = "wait", published
        self.handed = Handed()
        """The last hand-over of weights, as rank 0 saw it."""
        self._later: list[Request] | None = None
        """What was asked for during a hand-over that waits; None: there is none."""
        self._kept: KeptWeights | None = None
        self._ready, self._open = False, True
        super().__init__(
            [(replica, isinstance(replica, Telling)) for replica in replicas],
            _WORDS,
            tell=tell if self._ranks.rank == 0 else lambda line: None,
            look_every=look_every,
            patience=patience,
            offset=self._ranks.rank,
        )

    @property
    def over_update(self) -> str:
        """See ``Detached``."""
        return self._over_update

    @over_update.setter
    def over_update(self, way: str) -> None:
        self._over_update = way
        for member in self._members:
            if isinstance(member.helper, Keeping):
                member.helper.over_update = way

    @property
    def positions(self) -> int:
        """See ``Bounded``."""
        return min(member.helper.positions for member in self._members)

    # ---- asking -----------------------------------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine.generate``."""
        return all_told(self.generate_each, prompts, sampling, seeds)

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Ended,
    ) -> None:
        """See ``Telling.generate_each``."""
        answers = self.submit_all(prompts, sampling, seeds)
        done: SimpleQueue[int] = SimpleQueue()
        for place, answer in enumerate(answers):
            answer.add_done_callback(lambda _, place=place: done.put(place))  # type: ignore[misc]
        try:
            for _ in answers:
                place = done.get()
                ended(place, answers[place].result())
        finally:
            for answer in answers:
                answer.cancel()

    def submit(self, prompt: Sequence[int], sampling: Sampling, seed: int) -> Future[tuple[Completion, ...]]:
        """See ``Detached.submit``."""
        return self.submit_all([prompt], sampling, [seed])[0]

    def submit_all(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Future[tuple[Completion, ...]]]:
        """``submit`` of several prompts that may be sampled side by side."""
        assert self._ready, "the engine is closed, or was released and has no weights yet"
        requests = [Request((prompt, seed), sampling, sampling.n) for prompt, seed in zip(prompts, seeds, strict=True)]
        with self._changed:
            (self._queue if self._later is None else self._later).extend(requests)
            self.deal()
        return [request.answer for request in requests]

    def call(self, helper: Replica, bundle: Sequence[Request], told: Callable[[Request, Any], None]) -> None:
        """See ``Dealer``."""
        sampling: Sampling = bundle[0].kind  # type: ignore[assignment]
        if isinstance(helper, Telling):
            prompts, seeds = [request.payload[0] for request in bundle], [request.payload[1] for request in bundle]
            helper.generate_each(prompts, sampling, seeds, lambda place, row: told(bundle[place], row))
        else:
            prompt, seed = bundle[0].payload
            told(bundle[0], helper.generate(prompt, sampling, seed))

    def welcome(self, member: Member[Replica]) -> bool:
        """Rank 0 gives it the newest weights first; not before there are any."""
        while True:
            kept = self._kept
            if self._ranks.rank == 0:
                if kept is None:
                    return False
                self._hand_again(member.helper, kept)
            with self._changed:
                if kept is self._kept:  # no newer ones have come meanwhile
                    member.lost = ""
                    return True

    def _hand_again(self, replica: Replica, kept: KeptWeights) -> None:
        with closing(HandOver([replica])) as handing:
            if wrong := handing.begin(kept.metadata(), kept.version):
                raise ReplicaLost(wrong)
            handing.send(kept, kept.version)
        if handing.failed:
            raise ReplicaLost(handing.failed[replica])

    # ---- weights ----------------------------------------------------------------------------------------------------

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """See ``Engine.load_weights``; every rank calls it. With ``over_update = "wait"`` all that was asked for before
        is sampled first, by the weights it was asked for under; otherwise the replicas see to what they are at.

        A replica that is lost does not hold it up: it gets the weights when it is back.
        """
        assert self._open, "the engine is closed, or released: resume() comes first"
        began = time.monotonic()
        try:
            if self._over_update == "wait":
                with self._changed:
                    self._later = []
                    self._changed.wait_for(lambda: not self._queue and not any(each.out for each in self._members))
            self._ranks.gather_objects(None)  # the other ranks' requests are done as well
            waited = time.monotonic()
            sent = self._hand_over(self._published(stream), version)
            self.handed = Handed(waited=waited - began, seconds=time.monotonic() - waited, sent=sent)
        finally:
            with self._changed:
                self._queue += self._later or []
                self._later = None
                self.deal()

    def _hand_over(self, stream: WeightStream, version: int) -> int:
        """Rank 0 hands over, the others go through the stream; then all know who holds the version. The bytes sent."""
        if self._ranks.rank:
            if wrong := self._ranks.broadcast_object(None):
                raise InputError(wrong)
            for _ in stream:
                pass
            failed, sent = self._ranks.broadcast_object(None)
            self._hold(failed, version)
            return int(sent)
        taking = [member.helper for member in self._members if not member.lost]
        with closing(HandOver(taking)) as handing:
            kept = KeptWeights(stream.metadata(), version)
            wrong = handing.begin(stream.metadata(), version)
            if self._ranks.broadcast_object(wrong):
                raise InputError(wrong)
            handing.send(stream, version, kept)
        not_given = "it was away when weights came"
        failed = {
            place: handing.failed.get(member.helper, not_given)
            for place, member in enumerate(self._members)
            if member.helper in handing.failed or member.helper not in taking
        }
        self._ranks.broadcast_object((failed, handing.sent))
        self._hold(failed, version, kept)
        return handing.sent

    def _hold(self, failed: Mapping[int, str], version: int, kept: KeptWeights | None = None) -> None:
        """All but the failed replicas hold the version."""
        with self._changed:
            self._kept, self._ready = kept, True
        for place, member in enumerate(self._members):
            member.helper.expect(version)
            if place in failed:
                self.lose(member, failed[place], member.life)

    # ---- ends -------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """The memory of processes elsewhere is their own; asks for weights as every engine does."""
        self._ready = self._open = False

    def resume(self) -> None:
        """Ready for ``load_weights``."""
        self._open = True

    def close(self) -> None:
        """Let go of the replicas. What was asked for and not answered is cancelled."""
        self.release()
        self.end()
        for member in self._members:
            member.helper.close()
        self._kept = None
