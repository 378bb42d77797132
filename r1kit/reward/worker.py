"""The verifier process: ``python -m r1kit.reward.worker``. Reads jobs, judges them one by one, answers each at once.

It imports no torch. Messages in are length-prefixed pickles on stdin (from its own parent, trusted); replies out are
JSON lines on their own pipe, because a reply is shaped by what a policy wrote and must not be able to run anything.
Stdout goes nowhere, so a rule that prints cannot break the protocol.

Not a sandbox: a task's rule runs here with the user's rights. Code written by a policy belongs in ``r1kit.sandbox``.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from r1kit.apart import Replies, die_with, limit_memory
from r1kit.errors import MissingError, first_line
from r1kit.records import Prompt, Score
from r1kit.reward.messages import HEADER, Batch, Job, Setup
from r1kit.reward.rule import RewardConfig, failed_score, score_completion

if TYPE_CHECKING:
    from r1kit.tasks.task import Task

__all__ = ["main"]


def main() -> None:
    """Serve until stdin closes. ``argv``: reply file descriptor, parent's process id."""
    reply_descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    setup = _read(sys.stdin.buffer)
    assert isinstance(setup, Setup)
    limit_memory(setup.memory_bytes)
    reply = Replies(reply_descriptor)
    reply.send(["hello"])
    tasks: dict[str, Task] = {}
    while True:
        batches = _read(sys.stdin.buffer)
        if batches is None:
            return
        for batch in batches:
            name = batch.prompt.task
            if name not in tasks:
                try:
                    tasks[name] = _build(setup, name, batch.prompt)
                except MissingError as error:
                    reply.send(["missing", name, first_line(error)])
                    return
                except Exception as error:  # a task that cannot be built ends the run, in the parent, with this line
                    reply.send(["broken", name, _one_line(error)])
                    return
                reply.send(["ready", name])
            for job in batch.jobs:
                reply.send([job.number, _judge(tasks[name], batch, job, setup.rewards[name])])


def _read(stream: BinaryIO) -> Any:
    """Next message; None when the parent closed its end."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return pickle.loads(stream.read(HEADER.unpack(header)[0]))


def _build(setup: Setup, name: str, prompt: Prompt) -> Task:
    """Build a task and judge its own reference answer once, so that lazy imports happen before any deadline runs."""
    module, function = setup.builder.split(":")
    build: Callable[[str, Any], Task] = getattr(importlib.import_module(module), function)
    task = build(name, setup.tasks[name])
    if prompt.answer is not None:
        task.grade(prompt, prompt.answer)
    return task


def _judge(task: Task, batch: Batch, job: Job, config: RewardConfig) -> Any:
    """A score or diagnostics as JSON values; whatever a rule raises on free text becomes ``ungradable``."""
    if batch.kind == "diagnose":
        try:
            return {name: float(value) for name, value in task.diagnose(batch.prompt, job.text).items()}
        except (Exception, SystemExit):
            return {}
    try:
        score = score_completion(task, batch.prompt, job.text, job.finish, config, job.length)
    except (Exception, SystemExit) as error:
        score = failed_score(batch.prompt, job.text, job.finish, config, "ungradable", _one_line(error), job.length)
    return _as_json(score)


def _as_json(score: Score) -> list[Any]:
    return [score.total, dict(score.parts), score.answer, score.status, score.cause]


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {str(error)[:300]}".split())


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    main()
