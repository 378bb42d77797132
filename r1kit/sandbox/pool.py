"""Warm sandboxes side by side: deal out runs, take outcomes, keep deadlines, replace what died or was touched."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence

from r1kit.errors import R1Error
from r1kit.sandbox.protocol import Limits, Outcome, Run
from r1kit.sandbox.worker import START_SECONDS, Start, Worker

__all__ = ["Pool"]

LOOK_SECONDS = 1.0
"""Longest wait. One of twice that was itself stopped, as the workers may have been with it: deadlines wait."""


class Pool:
    """A sandbox of ``workers`` warm interpreters.

    Create it on a thread that lives as long as it: on Linux a worker is tied to the thread that started it.

    Args:
        name: what it calls itself.
        start: how one worker is started.
        explain: turns what a worker said, that could not start, into the error a user sees.
        workers: how many.

    Raises:
        MissingError: by ``explain``: the walls are not there.
    """

    def __init__(
        self, name: str, start: Callable[[], Start], explain: Callable[[str], R1Error], workers: int = 1
    ) -> None:
        self.name = name
        self._start, self._explain = start, explain
        self._workers: list[Worker] = []
        self._waiting: deque[tuple[int, Run]] = deque()
        self._again: set[int] = set()
        """What was killed, program or sandbox: it has one more try, since anybody may have done it."""
        self._selector = selectors.DefaultSelector()
        try:
            for _ in range(workers):
                self._workers.append(Worker(start()))
                self._register(len(self._workers) - 1)
            while any(worker.state == "starting" for worker in self._workers):
                self._step({})
        except BaseException:
            self.close()
            raise

    def run(self, runs: Sequence[Run], limits: Limits) -> list[Outcome]:
        """See ``Sandbox.run``."""
        for index, worker in enumerate(self._workers):
            if worker.state == "busy":  # a call was broken off
                self._replace(index)
        self._waiting, self._again = deque(enumerate(runs)), set()
        outcomes: dict[int, Outcome] = {}
        while len(outcomes) < len(runs):
            for index, worker in enumerate(self._workers):
                if worker.state == "idle" and self._waiting:
                    if worker.process.poll() is not None:  # it died between two runs
                        self._replace(index)
                        continue
                    number, run = self._waiting.popleft()
                    worker.hand(number, run, limits)
                    self._watch(index)
            self._step(outcomes)
        return [outcomes[number] for number in range(len(runs))]

    def _step(self, outcomes: dict[int, Outcome]) -> None:
        """Wait for the next thing to happen, and see to it."""
        began = time.monotonic()
        patience = min(worker.deadline for worker in self._workers if worker.state != "idle") - began
        events = self._selector.select(max(0.0, min(LOOK_SECONDS, patience)))
        if (stood := time.monotonic() - began) > 2 * LOOK_SECONDS:
            for worker in self._workers:
                worker.deadline += stood
        for key, mask in events:
            if mask & selectors.EVENT_WRITE:
                self._workers[key.data].push()
                self._watch(key.data)
            if mask & selectors.EVENT_READ:
                self._take(key.data, outcomes)
        now = time.monotonic()
        heard = {key.data for key, _ in events}
        for index, worker in enumerate(self._workers):
            if index not in heard and worker.state != "idle" and worker.deadline <= now:
                self._late(index, outcomes)

    def _take(self, index: int, outcomes: dict[int, Outcome]) -> None:
        worker = self._workers[index]
        try:
            outcome = worker.take()
        except EOFError:
            if worker.state == "starting" and (worker.last_words().strip() or not self._first(-1 - index)):
                raise self._explain(worker.last_words()) from None
            if worker.state == "busy":
                self._settle(worker, Outcome(end="killed", detail="its sandbox was killed with it"), outcomes)
            self._replace(index)
            return
        except R1Error as error:  # whatever speaks there is not the runner any more
            outcomes[worker.number] = Outcome(end="killed", detail=str(error))
            self._replace(index)
            return
        if outcome is not None:
            self._settle(worker, outcome, outcomes)
            if worker.used:
                self._replace(index)

    def _settle(self, worker: Worker, outcome: Outcome, outcomes: dict[int, Outcome]) -> None:
        assert worker.run is not None
        if outcome.end == "killed" and worker.struck and self._first(worker.number):
            self._waiting.appendleft((worker.number, worker.run))
        else:
            outcomes[worker.number] = outcome

    def _first(self, number: int) -> bool:
        """Whether this was not killed before in this call: a run by its number, a start by -1 and less."""
        first = number not in self._again
        self._again.add(number)
        return first

    def _late(self, index: int, outcomes: dict[int, Outcome]) -> None:
        worker = self._workers[index]
        if worker.state == "starting":
            raise R1Error(f"a sandbox did not start within {START_SECONDS:g} s")
        outcomes[worker.number] = Outcome(
            end="timeout", detail="its sandbox did not answer in time and was killed", seconds=worker.limits.seconds
        )
        self._replace(index)

    def _register(self, index: int) -> None:
        self._selector.register(self._workers[index].receive_end, selectors.EVENT_READ, index)
        self._watch(index)

    def _watch(self, index: int) -> None:
        """Look at the sending end only while something is left to send."""
        worker = self._workers[index]
        watched = worker.send_end in self._selector.get_map()
        if worker.outgoing and not watched:
            self._selector.register(worker.send_end, selectors.EVENT_WRITE, index)
        elif watched and not worker.outgoing:
            self._selector.unregister(worker.send_end)

    def _forget(self, worker: Worker) -> None:
        for descriptor in (worker.receive_end, worker.send_end):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        worker.kill()

    def _replace(self, index: int) -> None:
        self._forget(self._workers[index])
        self._workers[index] = Worker(self._start())
        self._register(index)

    def close(self) -> None:
        """See ``Sandbox.close``."""
        for worker in self._workers:
            self._forget(worker)
        self._workers = []
        self._selector.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
