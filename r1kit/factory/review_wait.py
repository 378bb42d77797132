"""The cold start and its reviewers: it makes the queue, waits for enough decisions, and takes what was decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

from r1kit import interrupts
from r1kit.errors import InputError, MissingError
from r1kit.factory.agreement import agreement
from r1kit.factory.review import AUTOMATIC, Decision, Item, accept_open, now, rejections, shared_out, write_queue
from r1kit.factory.review_file import QUEUE, ReviewFile
from r1kit.factory.select import Candidate
from r1kit.factory.writer import on_writer
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.factory.cold_start_settings import ColdStart

__all__ = ["await_people", "outcome", "queue_up", "told_of_people"]

LOOK_SECONDS = 1.0
"""Between two looks at the queue."""
TELL_SECONDS = 30.0
"""Between two lines that say how far people are."""


def queue_up(config: ColdStart, workspace: Workspace, candidates: Callable[[], Sequence[Candidate]]) -> None:
    """Make the queue, unless it is there. Rank 0 only."""
    path = workspace.folder / QUEUE
    if path.is_file():
        return
    items = [Item(id=candidate.sample.id, sample=candidate.sample) for candidate in candidates()]
    if config.review == "automatic":
        write_queue(path, accept_open(items))
    else:
        write_queue(path, shared_out(items, config.review_twice, workspace.seed))


def await_people(config: ColdStart, workspace: Workspace) -> None:
    """Return once enough is decided; a call of every rank.

    Raises:
        MissingError: it is not, and the stage is not to stay; the line says how many samples wait, where, what to do.
        InputError: a hand edit broke the queue. A stage that stays says so, and waits for the line to be mended.
    """
    file = ReviewFile(workspace.folder / QUEUE)
    told, said = "", float("-inf")
    while True:
        began = time.monotonic()
        waiting = on_writer(workspace, lambda: _waiting(config, workspace, file))
        if not waiting:
            return
        if not config.review_wait:
            raise MissingError(f"{waiting}, then run the same command again")
        interrupts.keep(waiting.partition(";")[0])
        if waiting != told and time.monotonic() - said >= TELL_SECONDS:
            workspace.say(f"{waiting}; the run goes on by itself")
            told, said = waiting, time.monotonic()
        time.sleep(max(LOOK_SECONDS, 4 * (time.monotonic() - began)))  # a long queue is looked at less often


def _waiting(config: ColdStart, workspace: Workspace, file: ReviewFile) -> str:
    """What is waited for, in a line; empty: nothing."""
    try:
        items = list(file.items().values())
    except InputError as error:
        if not config.review_wait:
            raise
        return f"{workspace.stage}: {error}"
    undecided = sum(item.open for item in items)
    asked = min(config.review_least or len(items), len(items))
    if len(items) - undecided >= asked:
        return ""
    least = f", {asked - (len(items) - undecided)} of them before the run goes on" if asked < len(items) else ""
    return (
        f"{workspace.stage}: {undecided} of {len(items)} samples wait for a person's decision in {file.path}{least}; "
        f"decide with r1 review {quote(str(workspace.run))} (or set each line's status to accepted, edited or rejected)"
        + ("" if config.review_least else f", or go on with fewer by {workspace.stage}.review_least = N")
    )


def outcome(config: ColdStart, workspace: Workspace) -> list[Item]:
    """Every item, as the stage ends with it: what nobody decided is accepted, which the file says, or pending. Rank 0
    only."""
    file = ReviewFile(workspace.folder / QUEUE)
    if config.review == "automatic" or config.review_rest == "accept":
        automatic = Decision(status="accepted", by=AUTOMATIC, at=now())
        if any(item.status == "pending" for item in file.items().values()):
            file.decide_all(lambda items: [(item.id, automatic) for item in items.values() if item.status == "pending"])
        return list(file.items().values())
    return [Item(id=item.id, sample=item.sample) if item.by == AUTOMATIC else item for item in file.items().values()]


def told_of_people(items: Sequence[Item]) -> dict[str, Any]:
    """For the data card: why samples were rejected, and how far two people agreed."""
    found = agreement(items)
    told = {"items": found.items, "share": found.share, "kappa": found.kappa}
    return {"rejections": rejections(items), "agreement": told if found.items else {}}
