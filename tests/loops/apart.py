"""An engine that samples while its caller learns, on threads of this process; how long anything takes is the test's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event, Lock, Thread
from typing import Any

from r1kit.records import Completion, Sampling

__all__ = ["Apart", "Held"]


class Apart:
    """``Detached`` over another engine. ``delay``: seconds before a call is begun, and before each answer is told."""

    def __init__(self, engine: Any, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.engine, self.delay, self.over_update = engine, delay, ""
        self.asked: list[Sequence[int]] = []
        self.threads: list[Thread] = []
        self._using = Lock()

    def submit_all(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Future[tuple[Completion, ...]]]:
        answers: list[Future[tuple[Completion, ...]]] = [Future() for _ in prompts]
        self.asked.extend(prompts)
        self.threads.append(Thread(target=self._answer, args=(prompts, sampling, seeds, answers), daemon=True))
        self.threads[-1].start()
        return answers

    def _answer(self, prompts: Any, sampling: Sampling, seeds: Any, answers: Sequence[Future[Any]]) -> None:
        time.sleep(self.delay())
        with self._using:
            found = self.engine.generate(prompts, sampling, seeds)
        for answer, completions in zip(answers, found, strict=True):
            time.sleep(self.delay())
            if answer.set_running_or_notify_cancel():
                answer.set_result(completions)

    def generate(self, prompts: Any, sampling: Sampling, seeds: Any) -> Any:
        with self._using:
            return self.engine.generate(prompts, sampling, seeds)

    def load_weights(self, stream: Any, version: int) -> None:
        with self._using:
            self.engine.load_weights(stream, version)


class Held(Apart):
    """Answers each prompt by itself; some, by their seeds, only once they are let go."""

    def __init__(self, engine: Any, held: Sequence[int]) -> None:
        super().__init__(engine)
        self.held = {seed: Event() for seed in held}

    def submit_all(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Future[tuple[Completion, ...]]]:
        each = zip(prompts, seeds, strict=True)
        return [super(Held, self).submit_all([prompt], sampling, [seed])[0] for prompt, seed in each]

    def _answer(self, prompts: Any, sampling: Sampling, seeds: Any, answers: Sequence[Future[Any]]) -> None:
        with self._using:
            found = self.engine.generate(prompts, sampling, seeds)
        if seeds[0] in self.held:
            self.held[seeds[0]].wait(60)
        if answers[0].set_running_or_notify_cancel():
            answers[0].set_result(found[0])
