"""Several engines as one: prompts go to the least loaded, and what a lost engine had is drawn again elsewhere.

A prompt with its ``n`` rows is one request with its own seed, so it does not matter which replica answers it, nor how
often it had to be asked. A replica that is lost is named in one line, its requests go to the others or wait; when it is
back it is given the newest weights, whole, before it serves. Nothing that failed ever becomes a completion.

Every rank has a pool over the same replicas. Rank 0 hands weights over; the others go through the stream as well, which
may be a collective, and wait for rank 0's word.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from queue import SimpleQueue
from typing import TYPE_CHECKING

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.wire import Lost
from r1kit.errors import InputError, R1Error
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Telling
from r1kit.rollout.hand_over import Handed, HandOver
from r1kit.rollout.kept import KeptWeights
from r1kit.rollout.replica import Replica, ReplicaLost
from r1kit.rollout.requests import MOST_LOSSES, Member, Request, bundles

if TYPE_CHECKING:
    from r1kit.model.weights import WeightStream

__all__ = ["Pool"]


class Pool:
    """``Engine``, ``Telling``, ``Detached`` and ``Bounded`` over replicas."""

    def __init__(
        self, replicas: Sequence[Replica], ranks: Ranks | None = None, *, tell: Callable[[str], None] = print,
        look_every: float = 2.0, patience: float = 600.0,
    ) -> None:  # fmt: skip
        """
        Args:
            replicas: at least one; the pool closes them.
            ranks: that share them, each with a pool of its own.
            tell: takes a line for the user; rank 0's is used.
            look_every: seconds between two looks at whether a replica lives, or is back.
            patience: seconds without any replica after which what waits fails.
        """
        self._ranks, self._look_every, self._patience = ranks or Solo(), look_every, patience
        self._tell = tell if self._ranks.rank == 0 else lambda line: None
        self.over_update = "wait"
        self.handed = Handed()
        """The last hand-over of weights, as rank 0 saw it."""
        self._members = [Member(replica) for replica in replicas]
        self._changed = threading.Condition()
        self._queue: list[Request] = []
        self._later: list[Request] | None = None
        """What was asked for during a hand-over that waits; None: there is none."""
        self._kept: KeptWeights | None = None
        self._ready, self._open, self._none_since = False, True, time.monotonic()
        self._closed = threading.Event()
        for member in self._members:
            threading.Thread(target=self._look_after, args=(member,), name=member.replica.name, daemon=True).start()

    @property
    def positions(self) -> int:
        """See ``Bounded``."""
        return min(member.replica.positions for member in self._members)

    # ---- asking -----------------------------------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine.generate``."""
        told: dict[int, tuple[Completion, ...]] = {}
        self.generate_each(prompts, sampling, seeds, told.__setitem__)
        return [told[place] for place in range(len(prompts))]

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Callable[[int, tuple[Completion, ...]], None],
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
        requests = [Request(prompt, sampling, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        with self._changed:
            (self._queue if self._later is None else self._later).extend(requests)
            self._deal()
        return [request.answer for request in requests]

    def _deal(self) -> None:
        """Give what waits to replicas that have room; the lock is held."""
        given: dict[Member, list[Request]] = {}
        offset = self._ranks.rank % len(self._members)  # so that ranks do not all begin with the same one
        turn = self._members[offset:] + self._members[:offset]
        while self._queue and (free := [member for member in turn if member.has_room]):
            member, request = min(free, key=lambda member: member.rows), self._queue.pop(0)
            if request.answer.cancelled():
                continue
            member.out[request] = None
            given.setdefault(member, []).append(request)
        for member, requests in given.items():
            for bundle in bundles(requests, together=isinstance(member.replica, Telling)):
                threading.Thread(target=self._ask, args=(member, member.life, bundle), daemon=True).start()

    def _ask(self, member: Member, life: int, bundle: Sequence[Request]) -> None:
        """One call of a replica, on a thread of its own."""
        replica, first = member.replica, bundle[0]
        try:
            if isinstance(replica, Telling):
                prompts, seeds = [request.prompt for request in bundle], [request.seed for request in bundle]
                replica.generate_each(
                    prompts, first.sampling, seeds, lambda place, row: self._take(member, life, bundle[place], row)
                )
            else:
                self._take(member, life, first, replica.generate(first.prompt, first.sampling, first.seed))
        except Lost as lost:
            self._lose(member, str(lost), life)
        except BaseException as error:  # told to whoever waits for it
            for request in bundle:
                self._take(member, life, request, error)

    def _take(self, member: Member, life: int, request: Request, found: tuple[Completion, ...] | BaseException) -> None:
        """A request's answer, unless it has gone to another replica since."""
        with self._changed:
            if member.life != life or request not in member.out:
                return
            del member.out[request]
            self._deal()
            self._changed.notify_all()
        request.settle(found)

    # ---- losing and finding -----------------------------------------------------------------------------------------

    def _lose(self, member: Member, why: str, life: int) -> None:
        """What the replica had goes back to the head of the queue."""
        spoilt: list[Request] = []
        with self._changed:
            if member.life != life or member.lost or self._closed.is_set():
                return
            had = [request for request in member.out if not request.answer.cancelled()]
            member.lost, member.life, member.out = why, life + 1, {}
            for request in had:
                request.losses += 1
            spoilt = [request for request in had if request.losses >= MOST_LOSSES]
            self._queue[:0] = [request for request in had if request.losses < MOST_LOSSES]
            left = any(not other.lost for other in self._members)
            self._none_since = time.monotonic()
            self._deal()
            self._changed.notify_all()
        where = "on the others" if left else "as soon as one is back"
        again = f"; what it was sampling ({len(had)} prompts) is sampled again {where}" if had else ""
        self._tell(f"{member.replica.name} is lost: {why}{again}")
        for request in spoilt:
            request.settle(R1Error(f"a prompt lost {MOST_LOSSES} engines one after the other, the last: {why}"))

    def _look_after(self, member: Member) -> None:
        """The thread of a replica, until ``close``."""
        while not self._closed.wait(self._look_every):
            life = member.life
            try:
                member.replica.alive()
                if member.lost and self._refit(member):
                    self._tell(f"{member.replica.name} is back")
            except Exception as error:  # ReplicaLost, or what a replica did not foresee
                self._lose(member, str(error) or type(error).__name__, life)
            self._give_up()

    def _refit(self, member: Member) -> bool:
        """Let a lost replica serve again; rank 0 gives it the newest weights first. False: there are none yet."""
        while True:
            kept = self._kept
            if self._ranks.rank == 0:
                if kept is None:
                    return False
                self._hand_again(member.replica, kept)
            with self._changed:
                if kept is not self._kept:
                    continue  # newer ones have come meanwhile
                member.lost = ""
                self._deal()
                return True

    def _hand_again(self, replica: Replica, kept: KeptWeights) -> None:
        with closing(HandOver([replica])) as handing:
            if wrong := handing.begin(kept.metadata(), kept.version):
                raise ReplicaLost(wrong)
            handing.send(kept, kept.version)
        if handing.failed:
            raise ReplicaLost(handing.failed[replica])

    def _give_up(self) -> None:
        """Fail what waits when no replica has served for too long."""
        with self._changed:
            waited = time.monotonic() - self._none_since
            if not self._queue or waited < self._patience or any(not member.lost for member in self._members):
                return
            waiting, self._queue = self._queue, []
            self._changed.notify_all()
        why = "; ".join(f"{member.replica.name}: {member.lost}" for member in self._members)
        for request in waiting:
            request.settle(R1Error(f"no engine has served for {waited:.0f} s ({why}); run the same command to go on"))

    # ---- weights ----------------------------------------------------------------------------------------------------

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """See ``Engine.load_weights``; every rank calls it. With ``over_update = "wait"`` all that was asked for before
        is sampled first, by the weights it was asked for under; with ``keep`` the replicas see to what they are at.

        A replica that is lost does not hold it up: it gets the weights when it is back.
        """
        assert self._open, "the engine is closed, or released: resume() comes first"
        began = time.monotonic()
        try:
            if self.over_update == "wait":
                with self._changed:
                    self._later = []
                    self._changed.wait_for(lambda: not self._queue and not any(each.out for each in self._members))
            self._ranks.gather_objects(None)  # the other ranks' requests are done as well
            waited = time.monotonic()
            sent = self._hand_over(stream, version)
            self.handed = Handed(waited=waited - began, seconds=time.monotonic() - waited, sent=sent)
        finally:
            with self._changed:
                self._queue += self._later or []
                self._later = None
                self._deal()

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
        taking = [member.replica for member in self._members if not member.lost]
        with closing(HandOver(taking)) as handing:
            kept = KeptWeights(stream.metadata(), version)
            wrong = handing.begin(stream.metadata(), version)
            if self._ranks.broadcast_object(wrong):
                raise InputError(wrong)
            handing.send(stream, version, kept)
        not_given = "it was away when weights came"
        failed = {
            place: handing.failed.get(member.replica, not_given)
            for place, member in enumerate(self._members)
            if member.replica in handing.failed or member.replica not in taking
        }
        self._ranks.broadcast_object((failed, handing.sent))
        self._hold(failed, version, kept)
        return handing.sent

    def _hold(self, failed: Mapping[int, str], version: int, kept: KeptWeights | None = None) -> None:
        """All but the failed replicas hold the version."""
        with self._changed:
            self._kept, self._ready = kept, True
        for place, member in enumerate(self._members):
            member.replica.expect(version)
            if place in failed:
                self._lose(member, failed[place], member.life)

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
        self._closed.set()
        with self._changed:
            waiting = [*self._queue, *(request for member in self._members for request in member.out)]
            self._queue = []
            for member in self._members:
                member.life, member.out = member.life + 1, {}
        for request in waiting:
            request.answer.cancel()
        for member in self._members:
            member.replica.close()
        self._kept = None
