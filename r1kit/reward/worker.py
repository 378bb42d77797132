"""The verifier process: ``python -m r1kit.reward.worker``. Reads jobs, judges them one by one, answers each at once.

It imports no torch. Messages in are length-prefixed pickles on stdin (from its own parent, trusted); replies out are
JSON lines on their own pipe, because a reply is shaped by what a policy wrote and must not be able to run anything.
Stdout goes nowhere and stderr keeps its last megabyte, so a rule that prints cannot break the protocol.

Not a sandbox: a task's rule and a user's function run here with the user's rights. Code written by a policy belongs in
``r1kit.sandbox``.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import io
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from r1kit.apart import Replies, die_with, limit_memory
from r1kit.errors import InputError, MissingError, R1Error, first_line
from r1kit.records import Score
from r1kit.reward.extract import marked
from r1kit.reward.messages import HEADER, Batch, Job, Setup
from r1kit.reward.rule import Rules
from r1kit.reward.user import UnfilledError, WrongLengthError

if TYPE_CHECKING:
    from r1kit.tasks.task import Task

__all__ = ["main"]

STDERR_BYTES = 1 << 20
"""Of stderr that are kept, of the newest."""


def main() -> None:
    """Serve until stdin closes. ``argv``: reply file descriptor, parent's process id."""
    reply_descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    setup = _read(sys.stdin.buffer)
    assert isinstance(setup, Setup)
    limit_memory(setup.memory_bytes)
    sys.stderr = _Bounded(2)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)
    reply = Replies(reply_descriptor)
    reply.send(["hello"])
    tasks: dict[str, tuple[Task, Rules]] = {}
    while True:
        batches = _read(sys.stdin.buffer)
        if batches is None:
            return
        for batch in batches:
            name = batch.prompt.task
            if name not in tasks:
                try:
                    tasks[name] = _build(setup, batch, reply)
                except MissingError as error:
                    reply.send(["missing", name, first_line(error)])
                    return
                except BaseException as error:  # a task that cannot be built ends the run, in the parent, by this line
                    wrong = ["wrong", first_line(error)]
                    reply.send(wrong if isinstance(error, _UserError) else ["broken", name, _one_line(error)])
                    return
                reply.send(["ready", name])
            try:
                _answer(*tasks[name], batch, reply)
            except WrongLengthError as error:
                reply.send(["wrong", first_line(error)])
                return


class _UserError(InputError):
    """A user's function that cannot be used."""


class _Bounded(io.TextIOBase):
    """Stderr that keeps its newest part."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._written = descriptor, 0

    def write(self, text: str) -> int:
        data = text.encode(errors="replace")[-STDERR_BYTES:]
        if self._written + len(data) > STDERR_BYTES:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._written = 0
        self._written += os.write(self._descriptor, data)
        return len(text)

    def fileno(self) -> int:
        return self._descriptor


def _read(stream: BinaryIO) -> Any:
    """Next message; None when the parent closed its end."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return pickle.loads(stream.read(HEADER.unpack(header)[0]))


def _build(setup: Setup, batch: Batch, reply: Replies) -> tuple[Task, Rules]:
    """A task and its rewards; all judge the prompt's own reference answer once, so that lazy imports happen before any
    deadline runs."""
    prompt, config = batch.prompt, setup.rewards[batch.prompt.task]
    module, function = setup.builder.split(":")
    build: Callable[[str, Any], Task] = getattr(importlib.import_module(module), function)
    task = build(prompt.task, setup.tasks[prompt.task])
    if prompt.answer is not None:
        task.grade(prompt, prompt.answer)
    try:
        rules = Rules(task, config, lambda where, grouped: reply.send(["in", where, grouped]))
    except InputError as error:
        raise _UserError(first_line(error)) from error
    text = marked(prompt.answer or "", config.answer_style)
    for reward in rules.parts.values():
        if reward.where:
            reply.send(["in", reward.where, False])
            try:
                reward(prompt, (Job(0, text, "stop", len(text.split()), tuple(range(len(text.split())))),))
            except (UnfilledError, WrongLengthError) as error:
                raise _UserError(first_line(error)) from error
            except BaseException:  # on a text of ours; what it does on the policy's is told by the scores
                continue
    reply.send(["in", "", False])
    return task, rules


def _answer(task: Task, rules: Rules, batch: Batch, reply: Replies) -> None:
    """Score or diagnose every completion of a batch; each answer is sent at once."""
    _prepare(task, rules, batch, reply)
    if batch.kind == "score":
        for number, score in rules.score(batch.prompt, batch.jobs, batch.settled):
            reply.send([number, _as_json(score)])
        return
    for job in batch.due:
        try:
            found = {name: float(value) for name, value in task.diagnose(batch.prompt, job.text).items()}
        except (Exception, SystemExit):
            found = {}
        reply.send([job.number, found])


def _prepare(task: Task, rules: Rules, batch: Batch, reply: Replies) -> None:
    """Show a group to its task, if that wants to see groups. The parent's deadline starts anew at each step."""
    prepare = getattr(task, "prepare", None)
    if prepare is None or not batch.prepared or len(batch.due) < 2:
        return
    reply.send(["preparing", True])
    with contextlib.suppress(Exception, SystemExit):  # whatever is wrong, judging one by one tells whose fault it is
        scored = batch.kind == "score"
        given = rules.answers(batch.due) if scored else [job.text for job in batch.due]
        for _ in zip(given, prepare(batch.prompt, given, "grade" if scored else "diagnose") or (), strict=False):
            reply.send(["preparing", True])
    reply.send(["preparing", False])


def _as_json(score: Score) -> list[Any]:
    return [score.total, dict(score.parts), score.answer, score.status, score.cause, list(score.abstained)]


def _one_line(error: BaseException) -> str:
    kind = "" if isinstance(error, R1Error) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{str(error)[:300]}".split())


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    main()
