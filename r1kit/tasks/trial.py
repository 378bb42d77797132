"""Try a user's tasks in a process of its own, before anything loads: a hang, a crash or a mistake is one line."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from r1kit.apart import Announce, run_apart
from r1kit.errors import InputError, R1Error
from r1kit.records import Prompt
from r1kit.registry import is_reference, short
from r1kit.tasks import build
from r1kit.tasks.task import Split, Task
from r1kit.tasks.user import UserCodeError

__all__ = ["Trial", "attempt", "try_tasks"]

BUILD_SECONDS, CALL_SECONDS = 120.0, 20.0
"""To build a task, its file's imports and data included; to give a prompt, the prompts of a split or a grade."""
AGAIN_SECONDS = 5.0
"""A task that is built faster is built twice, to see that it gives the same prompts."""


class Trial(NamedTuple):
    name: str
    kind: str
    table: Mapping[str, Any]
    splits: tuple[Split, ...] = ("test",)
    """Held-out splits that something looks at."""


def try_tasks(trials: list[Trial]) -> list[str]:
    """Build each task of the user's own and ask it for a prompt, its held-out splits and a grade; warnings, a line
    each.

    Raises:
        InputError: one line on the first that cannot work.
        MissingError: a package that one needs is not installed.
    """
    own = [trial for trial in trials if is_reference(trial.kind)]
    warnings: list[str] = run_apart("r1kit.tasks.trial:attempt", own) if own else []
    return warnings


def attempt(trials: list[Trial], announce: Announce) -> list[str]:
    """In the process."""
    warnings = []
    for name, kind, table, splits in trials:
        announce(f"tasks.{name}: building {short(kind)}", BUILD_SECONDS)
        try:
            began = time.monotonic()
            task = build(name, kind, table)
            if time.monotonic() - began < AGAIN_SECONDS:
                again = build(name, kind, table)
                announce(f"tasks.{name}: {short(kind)}.train(0)", CALL_SECONDS)
                _same(task, again, short(kind))
            warnings += _try(task, short(kind), splits, announce)
        except R1Error as error:
            said = str(error)
            raise type(error)(said if said.startswith(f"tasks.{name}") else f"tasks.{name}: {said}") from error
    return warnings


def _same(task: Task, again: Task, kind: str) -> Prompt:
    """The first prompt, which a run that is killed must find again. It is compared as it is written, so that an array
    or a NaN among its facts is equal to itself."""
    prompt = task.train(0)
    first, second = (re.sub(r" at 0x[0-9a-f]+", "", repr(one)) for one in (prompt, again.train(0)))
    if first != second:
        raise InputError(
            f"{kind}.train(0) gave two different prompts; it must depend on the settings and the index alone, so that "
            f"a run that is killed goes on with the same ones: write for example Random(index)"
        )
    return prompt


def _try(task: Task, kind: str, splits: tuple[Split, ...], announce: Announce) -> list[str]:
    announce(f"tasks.{task.name}: {kind}.train(0)", CALL_SECONDS)
    prompt = _same(task, task, kind)
    for split in splits:
        announce(f"tasks.{task.name}: {kind}.held_out({split!r})", CALL_SECONDS)
        held = task.held_out(split, 16)
        if any(one.question == prompt.question for one in held):
            raise InputError(f"{kind}.held_out({split!r}) holds the training prompt {prompt.question[:60]!r}")
    announce(f"tasks.{task.name}: {kind}.grade of its own reference", CALL_SECONDS)
    warnings = _graded(task, kind, prompt)
    announce(f"tasks.{task.name}: {kind}.check", CALL_SECONDS)
    task.check()
    return warnings


def _graded(task: Task, kind: str, prompt: Prompt) -> list[str]:
    """A warning where a prompt's own reference is not right; a prompt without one is graded for its mistakes alone."""
    if prompt.answer is None:
        with suppress(UserCodeError):
            task.grade(prompt, "")
        return []
    grade = task.grade(prompt, prompt.answer).correct
    if grade >= 1 or task.reads == "completion" or not task.graded:
        return []
    return [
        f"warning: tasks.{task.name}: {kind}.grade gives {prompt.answer[:60]!r}, the reference of "
        f"{prompt.question[:60]!r}, {grade:g} and not 1: who answers right may earn nothing"
    ]
