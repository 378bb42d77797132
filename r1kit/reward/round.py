"""One scoring call over the verifier processes: deal, take, time out, replace."""

from __future__ import annotations

import selectors
import time
from collections import deque
from threading import Event
from typing import Any, Literal

from r1kit.errors import InputError, MissingError, R1Error
from r1kit.reward.messages import Batch
from r1kit.reward.process import Process

__all__ = ["BATCHES_PER_WORKER", "Failure", "Round"]

BATCHES_PER_WORKER = 4
"""A call's groups are dealt out in about this many messages a worker, so that a slow one does not hold the others."""
LOOK_SECONDS = 1.0
"""Longest wait. One of twice that was itself stopped, as the workers may have been with it: deadlines wait."""
GATHER_SECONDS = 0.002
"""Pause before replies are read, so that many come at one wake-up and the parent leaves its core to others."""


class Failure:
    """Why a completion could not be judged."""

    __slots__ = ("cause", "status")

    def __init__(self, status: Literal["ungradable", "timeout"], cause: str) -> None:
        self.status = status
        self.cause = cause


class Round:
    """One call: deal batches to the workers, take replies, kill what passes its deadline, replace what dies."""

    def __init__(
        self, workers: list[Process], batches: list[Batch], total: int, deadline: float, warmup: float, setup: bytes,
        closing: Event,
    ) -> None:  # fmt: skip
        """``closing``: once it is set, whatever is left is given up."""
        self.workers, self.setup, self.closing = workers, setup, closing
        self.deadline, self.warmup = deadline, warmup
        self.waiting = deque(batches)
        self.share = max(1, total // (len(workers) * BATCHES_PER_WORKER)) if len(workers) > 1 else total
        self.replies: list[Any] = [None] * total
        self.missing = total
        self.again: set[int] = set()
        """Completions that a process was struck over: judged once more, and then no more."""
        self.seen = time.monotonic()

    def run(self) -> list[Any]:
        with selectors.DefaultSelector() as self.selector:
            for index, worker in enumerate(self.workers):
                if worker.owed or not worker.alive():  # a call was broken off, or it died between two calls
                    self._replace(index, register=False)
                self.selector.register(self.workers[index].receive, selectors.EVENT_READ, index)
                self._feed(self.workers[index])
            self.seen = time.monotonic()
            while self.missing:
                self._wait()
        return self.replies

    def _wait(self) -> None:
        until = min(worker.deadline for worker in self.workers if worker.state != "idle")
        events = self.selector.select(max(0.0, min(LOOK_SECONDS, until - time.monotonic())))
        if (stood := time.monotonic() - self.seen) > 2 * LOOK_SECONDS:
            for worker in self.workers:
                worker.deadline += stood
        if self.closing.is_set():
            raise R1Error("the verifier was closed before everything was scored")
        if events and self.missing > 1:
            time.sleep(GATHER_SECONDS)
        now = time.monotonic()
        answered = {key.data for key, _ in events}
        for index in answered:
            self._take(index)
        for index, worker in enumerate(self.workers):
            if index not in answered and worker.state != "idle" and worker.deadline <= now:
                self._timeout(index)
        self.seen = time.monotonic()

    def _feed(self, worker: Process) -> None:
        if worker.state != "idle" or not self.waiting:
            return
        batches: list[Batch] = []
        size = 0
        while self.waiting and size < self.share:
            batches.append(self.waiting.popleft())
            size += len(batches[-1].jobs)
        worker.send(batches)
        self._set_deadline(worker)

    def _set_deadline(self, worker: Process) -> None:
        first_use = worker.owed[0][0].prompt.task not in worker.built
        worker.deadline = time.monotonic() + (self.warmup if first_use else self.deadline)

    def _take(self, index: int) -> None:
        worker = self.workers[index]
        lines = worker.lines()
        if lines is None:
            self._died(index)
            return
        settled = False
        for line in lines:
            if line[0] == "hello":
                worker.state = "idle"
            elif line[0] == "ready":
                worker.built.add(line[1])
            elif line[0] == "in":
                worker.doing, worker.grouped = line[1], line[2]
                settled |= not line[1]
            elif line[0] == "preparing":
                worker.preparing = line[1]
            elif line[0] == "missing":
                raise MissingError(line[2])
            elif line[0] == "wrong":
                raise InputError(line[1])
            elif line[0] == "broken":
                raise R1Error(f"task {line[1]!r} could not be built in the verifier: {line[2]}")
            else:
                self._settle(worker, line[0], line[1])
            settled |= line[0] != "in"
        if worker.owed:
            if settled:  # a function that is entered gets what is left of its completion's time
                self._set_deadline(worker)
        else:
            worker.state = "idle" if worker.state == "busy" else worker.state
            self._feed(worker)

    def _settle(self, worker: Process, number: int, reply: Any) -> None:
        _, job = worker.owed.popleft()
        if job.number != number or self.replies[number] is not None:
            raise R1Error(f"the verifier answered sample {number} where sample {job.number} was due")
        self.replies[number] = reply
        self.missing -= 1
        worker.doing = ""

    def _timeout(self, index: int) -> None:
        worker = self.workers[index]
        if self._spared(index):
            return
        if worker.state == "starting":
            worker.kill()
            raise R1Error(f"a verifier process did not start within {self.warmup:g} s")
        where = worker.where_it_stands()
        if worker.owed[0][0].prompt.task not in worker.built:
            worker.kill()
            stood = f"; it was at {where}" if where and where != worker.doing else ""
            raise R1Error(f"{self._building(worker)} took more than {self.warmup:g} s in the verifier{stood}")
        self._give_up(
            index, Failure("timeout", f"{where or 'the rule'} took more than {self.deadline:g} s and was stopped")
        )

    def _died(self, index: int) -> None:
        worker = self.workers[index]
        how = worker.last_words()
        if self._spared(index):
            return
        if worker.state == "starting":
            raise R1Error(f"a verifier process could not start: {how}")
        if not worker.owed:
            self._replace(index)
        elif worker.owed[0][0].prompt.task not in worker.built:
            raise R1Error(f"{self._building(worker)} ended the verifier process: {how}")
        else:
            blamed = f"{worker.doing}: " if worker.doing else ""
            self._give_up(index, Failure("ungradable", f"{blamed}the verifier process ended: {how}"))

    def _spared(self, index: int) -> bool:
        """Whether what a worker owed is judged again, in another process: it was struck, for the first time there."""
        worker = self.workers[index]
        number = worker.owed[0][1].number if worker.owed else -1 - index
        if number in self.again or not worker.was_struck():
            return False
        self.again.add(number)
        self._give_up(index, None)
        return True

    def _building(self, worker: Process) -> str:
        """What a worker does before a task's first completion."""
        if worker.doing:
            return f"the first call of {worker.doing}"
        return f"building task {worker.owed[0][0].prompt.task!r}"

    def _give_up(self, index: int, failure: Failure | None) -> None:
        """Settle the sample in hand, or its whole group; put the rest back first in line, and start a fresh process.

        Where the task was shown a group, or there is no failure, nothing of it is settled. In every case it is not
        shown the rest of it again.
        """
        worker = self.workers[index]
        in_hand = worker.owed[0][0] if worker.owed else None
        lost = sum(owed is in_hand for owed, _ in worker.owed) if worker.doing and worker.grouped else 1
        for _ in range(0 if worker.preparing or failure is None else lost):
            self._settle(worker, worker.owed[0][1].number, failure)
        owed = {job.number for _, job in worker.owed}
        rest = dict.fromkeys(id(batch) for batch, _ in worker.owed)
        batches = {id(batch): batch for batch, _ in worker.owed}
        worker.owed.clear()
        for batch in (batches[one] for one in reversed(rest)):
            settled = frozenset(job.number for job in batch.jobs if job.number not in owed)
            prepared = batch.prepared and batch is not in_hand
            self.waiting.appendleft(Batch(batch.kind, batch.prompt, batch.jobs, settled, prepared))
        self._replace(index)
        for other in self.workers:
            self._feed(other)

    def _replace(self, index: int, register: bool = True) -> None:
        if register:
            self.selector.unregister(self.workers[index].receive)
        self.workers[index].kill()
        self.workers[index] = Process(self.setup, self.warmup)
        if register:
            self.selector.register(self.workers[index].receive, selectors.EVENT_READ, index)
