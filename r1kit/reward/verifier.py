"""Judge completions in processes that can be killed, with a deadline kept by the parent (no SIGALRM, no fork).

A rule that loops is killed and its sample gets ``timeout``; one that raises or takes its process down gives
``ungradable``; everything else goes on in a fresh process. Workers die with their parent, also when it is SIGKILLed.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Literal, Protocol

from r1kit.errors import InputError
from r1kit.records import Completion, Group, Score
from r1kit.registry import is_reference
from r1kit.reward.language import check_detector
from r1kit.reward.length import with_length
from r1kit.reward.messages import Batch, Job, Setup
from r1kit.reward.process import Process
from r1kit.reward.round import BATCHES_PER_WORKER, Failure, Round
from r1kit.reward.rule import failed_score
from r1kit.reward.settings import RewardConfig

__all__ = ["Verifier", "Verifying"]


class Verifying(Protocol):
    """What is asked of a verifier, in this process or of the run's own elsewhere."""

    def score_groups(self, groups: Sequence[Group]) -> list[list[Score]]:
        """See ``Verifier``."""
        ...

    def submit(self, group: Group) -> Future[list[Score]]:
        """See ``Verifier``."""
        ...

    def diagnose_groups(self, groups: Sequence[Group]) -> list[list[dict[str, float]]]:
        """See ``Verifier``."""
        ...

    def close(self) -> None:
        """See ``Verifier``."""
        ...

    def __enter__(self) -> Verifying: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Verifier:
    """Scores groups in ``workers`` processes, which start at once and import while the caller loads its model.

    Create it on a thread that lives as long as it: on Linux a worker is tied to the thread that started it. What is
    handed over by ``submit`` is scored from a thread a worker, which starts new workers in place of its own where that
    dies, and lives until ``close``: a slow group holds up one worker and no other's groups.

    Args:
        task_configs: of each task by its name (``Prompt.task``), what the builder takes: its kind and plain settings.
        reward_configs: reward settings of each task, same keys.
        workers: processes.
        deadline_seconds: wall-clock a completion may take, from the moment the one before it was answered.
        warmup_seconds: wall-clock a process may take to start, and again to build a task the first time.
        memory_bytes: address space a process may take; 0 sets no limit.
        builder: ``module:function`` that builds a task from its name and settings, inside the worker.

    Raises:
        InputError: tasks and rewards have different names, or a number is out of range.
        MissingError: a reward asks for a language detector that is not installed.
    """

    def __init__(
        self,
        task_configs: Mapping[str, Any],
        reward_configs: Mapping[str, RewardConfig],
        workers: int = 1,
        deadline_seconds: float = 10.0,
        warmup_seconds: float = 120.0,
        memory_bytes: int = 4 << 30,
        builder: str = "r1kit.tasks:build_spec",
    ) -> None:
        if set(task_configs) != set(reward_configs):
            raise InputError(
                f"tasks are {sorted(task_configs)} but rewards are given for {sorted(reward_configs)}; "
                "give each task one reward"
            )
        if workers < 1 or deadline_seconds <= 0:
            raise InputError(
                f"a verifier needs workers >= 1 and deadline_seconds > 0, not {workers} and {deadline_seconds}"
            )
        for reward in reward_configs.values():
            check_detector(reward.detector)
        self._rewards = dict(reward_configs)
        setup = Setup(
            builder=builder, tasks=dict(task_configs), rewards=self._rewards, memory_bytes=max(0, memory_bytes)
        )
        self._setup = pickle.dumps(setup)
        self._deadline, self._warmup = deadline_seconds, warmup_seconds
        self._ungraded: set[str] = set()
        """Tasks that were found to grade nothing."""
        self._workers = [Process(self._setup, warmup_seconds) for _ in range(workers)]
        self._calling, self._starting, self._closing = [Lock() for _ in self._workers], Lock(), Event()
        self._waiting: SimpleQueue[tuple[Group, Future[list[Score]]] | None] = SimpleQueue()
        self._threads: list[Thread] = []

    def score_groups(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One score a completion, in order. A completion that cannot be judged gets reward 0, a status and a cause.

        Raises:
            R1Error: a task could not be built in the verifier, or the verifier itself broke.
        """
        return self._scores(groups, self._judge("score", groups))

    def _scores(self, groups: Sequence[Group], replies: Sequence[Any]) -> list[list[Score]]:
        completions = [completion for group in groups for completion in group.completions]
        prompts = [group.prompt for group in groups for _ in group.completions]
        scores: list[Score] = []
        self._ungraded |= {
            prompt.task
            for prompt, reply in zip(prompts, replies, strict=True)
            if not isinstance(reply, Failure) and "accuracy" in reply[-1]
        }
        for prompt, completion, reply in zip(prompts, completions, replies, strict=True):
            if isinstance(reply, Failure):
                reward = replace(self._rewards[prompt.task], detector="script")  # no model is loaded on this side
                length = len(completion.token_ids)
                failed = failed_score(
                    prompt, reward.whole(completion.text), completion.finish, reward, reply.status, reply.cause, length
                )
                scores.append(_without_accuracy(failed) if prompt.task in self._ungraded else failed)
            else:
                total, parts, answer, status, cause, abstained = reply
                scores.append(
                    Score(
                        total=total, parts=parts, answer=answer, status=status, cause=cause, abstained=tuple(abstained)
                    )
                )
        rows = _regroup(groups, scores)
        return [
            with_length(group, row, self._rewards[group.prompt.task]) for group, row in zip(groups, rows, strict=True)
        ]

    def submit(self, group: Group) -> Future[list[Score]]:
        """``score_groups`` of one group while the caller goes on; any thread may call it. One that is cancelled before
        a worker takes it is not judged."""
        with self._starting:
            if not self._threads:
                for place in range(len(self._workers)):
                    self._threads.append(Thread(target=self._serve, args=(place,), name="verifier", daemon=True))
                    self._threads[-1].start()
        scores: Future[list[Score]] = Future()
        self._waiting.put((group, scores))
        return scores

    def _serve(self, place: int) -> None:
        """The thread of ``submit`` for one worker, until ``close``: takes a small part of what waits at a time, so that
        no group waits behind a slow one that another worker could have taken."""
        while True:
            taken, workers = [self._waiting.get()], len(self._workers)
            part = (
                self._waiting.qsize() + 1 if workers == 1 else self._waiting.qsize() // (BATCHES_PER_WORKER * workers)
            )
            with suppress(Empty):
                while taken[-1] is not None and len(taken) < part:
                    taken.append(self._waiting.get_nowait())
            handed = [item for item in taken if item is not None and item[1].set_running_or_notify_cancel()]
            groups = [group for group, _ in handed]
            try:
                found = self._scores(groups, self._judge("score", groups, [place]))
            except BaseException as error:  # told to whoever waits for the scores
                for _, scores in handed:
                    scores.set_exception(error)
            else:
                for (_, scores), row in zip(handed, found, strict=True):
                    scores.set_result(row)
            if None in taken:
                return

    def diagnose_groups(self, groups: Sequence[Group]) -> list[list[dict[str, float]]]:
        """``Task.diagnose`` of each completion, in order; empty where it failed."""
        replies = self._judge("diagnose", groups)
        return _regroup(groups, [{} if isinstance(reply, Failure) else reply for reply in replies])

    def _judge(
        self, kind: Literal["score", "diagnose"], groups: Sequence[Group], places: Sequence[int] | None = None
    ) -> list[Any]:
        """Replies, a completion each; ``places``: of the workers that judge, by default all."""
        batches, total = _batches(kind, groups, self._rewards)
        if total == 0:
            return []
        places = range(len(self._workers)) if places is None else places
        with ExitStack() as held:
            for place in places:
                held.enter_context(self._calling[place])
            workers = [self._workers[place] for place in places]
            call = Round(workers, batches, total, self._deadline, self._warmup, self._setup, self._closing)
            try:
                return call.run()
            finally:  # those that died were replaced
                for place, worker in zip(places, workers, strict=True):
                    self._workers[place] = worker

    def close(self) -> None:
        """End the workers, and a call that is under way. Idempotent."""
        if self._threads:
            self._closing.set()
            for _ in self._threads:
                self._waiting.put(None)
            for worker in self._workers:
                worker.interrupt()  # wakes the call
            for thread in self._threads:
                thread.join()
            self._threads = []
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _without_accuracy(score: Score) -> Score:
    parts = {name: value for name, value in score.parts.items() if name != "accuracy"}
    return replace(score, parts=parts, abstained=("accuracy", *score.abstained))


def _regroup(groups: Sequence[Group], flat: Sequence[Any]) -> list[list[Any]]:
    assert len(flat) == sum(len(group.completions) for group in groups)
    rows, start = [], 0
    for group in groups:
        rows.append(list(flat[start : start + len(group.completions)]))
        start += len(group.completions)
    return rows


def _batches(
    kind: Literal["score", "diagnose"], groups: Sequence[Group], known: Mapping[str, RewardConfig]
) -> tuple[list[Batch], int]:
    """Number the completions through and keep each prompt once with its own."""
    batches, number = [], 0
    for group in groups:
        if group.prompt.task not in known:
            raise InputError(f"prompt {group.prompt.id} names task {group.prompt.task!r}; known are {sorted(known)}")
        reward = known[group.prompt.task]
        jobs = tuple(_job(number + index, one, reward) for index, one in enumerate(group.completions))
        number += len(jobs)
        if jobs:
            batches.append(Batch(kind, group.prompt, jobs))
    return batches, number


def _job(number: int, completion: Completion, reward: RewardConfig) -> Job:
    ids = completion.token_ids if any(is_reference(part) for part in reward.parts) else ()
    return Job(number, reward.whole(completion.text), completion.finish, len(completion.token_ids), ids)
