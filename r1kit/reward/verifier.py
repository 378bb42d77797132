"""Judge completions in processes that can be killed, with a deadline kept by the parent (no SIGALRM, no fork).

A rule that loops is killed and its sample gets ``timeout``; one that raises or takes its process down gives
``ungradable``; everything else goes on in a fresh process. Workers die with their parent, also when it is SIGKILLed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

from r1kit.errors import InputError, R1Error
from r1kit.records import Completion, Group, Score
from r1kit.reward.language import check_detector
from r1kit.reward.messages import HEADER, Batch, Job, Setup
from r1kit.reward.rule import RewardConfig, failed_score

__all__ = ["Verifier", "match_scores"]

BATCHES_PER_WORKER = 4
"""A call's groups are dealt out in about this many messages a worker, so that a slow one does not hold the others."""
GATHER_SECONDS = 0.002
"""Pause before replies are read, so that many come at one wake-up and the parent leaves its core to others."""


class Verifier:
    """Scores groups in ``workers`` processes, which start at once and import while the caller loads its model.

    One thread at a time may call it. Create it on a thread that lives as long as it: on Linux a worker is tied to the
    thread that started it.

    Args:
        task_configs: settings of each task by its name (``Prompt.task``).
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
        builder: str = "r1kit.tasks:build_task",
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
        self._workers = [_Worker(self._setup, warmup_seconds) for _ in range(workers)]

    def score_groups(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One score a completion, in order. A completion that cannot be judged gets reward 0, a status and a cause.

        Raises:
            R1Error: a task could not be built in the verifier, or the verifier itself broke.
        """
        completions = [completion for group in groups for completion in group.completions]
        prompts = [group.prompt for group in groups for _ in group.completions]
        replies = self._judge("score", groups)
        scores: list[Score] = []
        for prompt, completion, reply in zip(prompts, completions, replies, strict=True):
            if isinstance(reply, _Failure):
                reward = replace(self._rewards[prompt.task], detector="script")  # no model is loaded on this side
                length = len(completion.token_ids)
                failed = failed_score(
                    prompt, completion.text, completion.finish, reward, reply.status, reply.cause, length
                )
                scores.append(failed)
            else:
                total, parts, answer, status, cause = reply
                scores.append(Score(total=total, parts=parts, answer=answer, status=status, cause=cause))
        return _regroup(groups, scores)

    def diagnose_groups(self, groups: Sequence[Group]) -> list[list[dict[str, float]]]:
        """``Task.diagnose`` of each completion, in order; empty where it failed."""
        replies = self._judge("diagnose", groups)
        return _regroup(groups, [{} if isinstance(reply, _Failure) else reply for reply in replies])

    def _judge(self, kind: Literal["score", "diagnose"], groups: Sequence[Group]) -> list[Any]:
        batches, total = _batches(kind, groups, self._rewards)
        if total == 0:
            return []
        return _Round(self._workers, batches, total, self._deadline, self._warmup, self._setup).run()

    def close(self) -> None:
        """End the workers. Idempotent."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def match_scores(groups: Sequence[Group], scores: Sequence[Sequence[Score]]) -> None:
    """Refuse rewards that do not match their samples one to one; nothing is ever broadcast.

    Raises:
        R1Error: a list of another length, naming the first group where it differs.
    """
    if len(groups) != len(scores):
        raise R1Error(f"rewards were given for {len(scores)} groups, but {len(groups)} were sampled")
    for group, row in zip(groups, scores, strict=True):
        if len(group.completions) != len(row):
            raise R1Error(
                f"{len(row)} rewards were given for the {len(group.completions)} completions of {group.prompt.id}"
            )


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
        jobs = tuple(_job(number + index, completion) for index, completion in enumerate(group.completions))
        number += len(jobs)
        if jobs:
            batches.append(Batch(kind, group.prompt, jobs))
    return batches, number


def _job(number: int, completion: Completion) -> Job:
    return Job(number, completion.text, completion.finish, len(completion.token_ids))


class _Failure:
    """Why a completion could not be judged."""

    __slots__ = ("cause", "status")

    def __init__(self, status: Literal["ungradable", "timeout"], cause: str) -> None:
        self.status = status
        self.cause = cause


class _Worker:
    """One verifier process and what it still owes."""

    def __init__(self, setup: bytes, warmup: float) -> None:
        receive, send = os.pipe()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            "PYTHONHASHSEED": "0",  # sympy orders by hash: the same answer must get the same grade in every process
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in kill
        self.process = subprocess.Popen(
            [sys.executable, "-m", "r1kit.reward.worker", str(send), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
            pass_fds=[send],
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the run, which then closes its workers
        )
        os.close(send)
        self.receive = receive
        self.buffer = b""
        self.owed: deque[tuple[Batch, Job]] = deque()
        self.deadline = time.monotonic() + warmup
        self.state: Literal["starting", "idle", "busy"] = "starting"
        self.built: set[str] = set()
        self._write(setup)

    def _write(self, payload: bytes) -> None:
        assert self.process.stdin is not None
        # A worker that died has closed its end of the reply pipe too, and the round sees that.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(HEADER.pack(len(payload)) + payload)
            self.process.stdin.flush()

    def send(self, batches: list[Batch]) -> None:
        self.owed.extend((batch, job) for batch in batches for job in batch.jobs)
        self.state = "busy"
        self._write(pickle.dumps(batches))

    def lines(self) -> list[list[Any]] | None:
        """Replies that have come; None when the process has closed its end."""
        chunk = os.read(self.receive, 1 << 18)
        if not chunk:
            return None
        *whole, self.buffer = (self.buffer + chunk).split(b"\n")
        return [json.loads(line) for line in whole]

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill it with all it started, and give its pipes back."""
        if self.process.stdin is None or self.process.stdin.closed:
            return  # killed before
        with contextlib.suppress(ProcessLookupError):  # already gone
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # unsent bytes of a dead worker
            self.process.stdin.close()
        os.close(self.receive)
        self.errors.close()

    def last_words(self) -> str:
        """Exit code or signal, with the last line of stderr."""
        code = self.process.wait()
        self.errors.seek(-min(4096, self.errors.seek(0, os.SEEK_END)), os.SEEK_END)
        lines = [line for line in self.errors.read().decode(errors="replace").splitlines() if line.strip()]
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return how + (f", {lines[-1].strip()}" if lines else "")


class _Round:
    """One call: deal batches to the workers, take replies, kill what passes its deadline, replace what dies."""

    def __init__(
        self, workers: list[_Worker], batches: list[Batch], total: int, deadline: float, warmup: float, setup: bytes
    ) -> None:
        self.workers, self.setup = workers, setup
        self.deadline, self.warmup = deadline, warmup
        self.waiting = deque(batches)
        self.share = max(1, total // (len(workers) * BATCHES_PER_WORKER)) if len(workers) > 1 else total
        self.replies: list[Any] = [None] * total
        self.missing = total

    def run(self) -> list[Any]:
        with selectors.DefaultSelector() as self.selector:
            for index, worker in enumerate(self.workers):
                if worker.owed or not worker.alive():  # a call was broken off, or it died between two calls
                    self._replace(index, register=False)
                self.selector.register(self.workers[index].receive, selectors.EVENT_READ, index)
                self._feed(self.workers[index])
            while self.missing:
                self._wait()
        return self.replies

    def _wait(self) -> None:
        now = time.monotonic()
        patience = min(worker.deadline for worker in self.workers if worker.state != "idle") - now
        events = self.selector.select(max(0.0, patience))
        if events and self.missing > 1:
            time.sleep(GATHER_SECONDS)
        now = time.monotonic()
        answered = {key.data for key, _ in events}
        for index in answered:
            self._take(index)
        # Only those with nothing to read are late: a parent that was itself stopped for a while blames nobody.
        for index, worker in enumerate(self.workers):
            if index not in answered and worker.state != "idle" and worker.deadline <= now:
                self._timeout(index)

    def _feed(self, worker: _Worker) -> None:
        if worker.state != "idle" or not self.waiting:
            return
        batches: list[Batch] = []
        size = 0
        while self.waiting and size < self.share:
            batches.append(self.waiting.popleft())
            size += len(batches[-1].jobs)
        worker.send(batches)
        self._set_deadline(worker)

    def _set_deadline(self, worker: _Worker) -> None:
        first_use = worker.owed[0][0].prompt.task not in worker.built
        worker.deadline = time.monotonic() + (self.warmup if first_use else self.deadline)

    def _take(self, index: int) -> None:
        worker = self.workers[index]
        lines = worker.lines()
        if lines is None:
            self._died(index)
            return
        for line in lines:
            if line[0] == "hello":
                worker.state = "idle"
            elif line[0] == "ready":
                worker.built.add(line[1])
            elif line[0] == "broken":
                raise R1Error(f"task {line[1]!r} could not be built in the verifier: {line[2]}")
            else:
                self._settle(worker, line[0], line[1])
        if worker.owed:
            self._set_deadline(worker)
        else:
            worker.state = "idle" if worker.state == "busy" else worker.state
            self._feed(worker)

    def _settle(self, worker: _Worker, number: int, reply: Any) -> None:
        _, job = worker.owed.popleft()
        if job.number != number or self.replies[number] is not None:
            raise R1Error(f"the verifier answered sample {number} where sample {job.number} was due")
        self.replies[number] = reply
        self.missing -= 1

    def _timeout(self, index: int) -> None:
        worker = self.workers[index]
        if worker.state == "starting":
            worker.kill()
            raise R1Error(f"a verifier process did not start within {self.warmup:g} s")
        task = worker.owed[0][0].prompt.task
        if task not in worker.built:
            worker.kill()
            raise R1Error(f"task {task!r} was not ready in the verifier within {self.warmup:g} s")
        self._give_up(index, _Failure("timeout", f"the rule took more than {self.deadline:g} s and was stopped"))

    def _died(self, index: int) -> None:
        worker = self.workers[index]
        how = worker.last_words()
        if worker.state == "starting":
            raise R1Error(f"a verifier process could not start: {how}")
        if not worker.owed:
            self._replace(index)
        elif worker.owed[0][0].prompt.task not in worker.built:
            raise R1Error(f"the verifier process ended while it built task {worker.owed[0][0].prompt.task!r}: {how}")
        else:
            self._give_up(index, _Failure("ungradable", f"the verifier process ended: {how}"))

    def _give_up(self, index: int, failure: _Failure) -> None:
        """Settle the sample in hand, put the rest back first in line, in order, and start a fresh process."""
        worker = self.workers[index]
        self._settle(worker, worker.owed[0][1].number, failure)
        rest: list[Batch] = []
        for batch, job in worker.owed:
            if rest and rest[-1].prompt is batch.prompt:
                rest[-1] = Batch(batch.kind, batch.prompt, (*rest[-1].jobs, job))
            else:
                rest.append(Batch(batch.kind, batch.prompt, (job,)))
        worker.owed.clear()
        self.waiting.extendleft(reversed(rest))
        self._replace(index)
        for other in self.workers:
            self._feed(other)

    def _replace(self, index: int, register: bool = True) -> None:
        if register:
            self.selector.unregister(self.workers[index].receive)
        self.workers[index].kill()
        self.workers[index] = _Worker(self.setup, self.warmup)
        if register:
            self.selector.register(self.workers[index].receive, selectors.EVENT_READ, index)
