"""A run on a Ray cluster, over the loss of hosts: its ranks are started again on what is left, from where they stood.

The process that does this is a child of ``r1 run``, because Ray ends the processes that have joined a cluster when its
head is gone; whoever tells the run's one last line must still be there then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from r1kit.cluster.launch import launch
from r1kit.cluster.placement import plan
from r1kit.cluster.processes import Job
from r1kit.cluster.ray.cluster import Lost
from r1kit.cluster.ray.starter import HeadLost, RayStarter
from r1kit.errors import MissingError, R1Error, RankError

__all__ = ["Jobs", "RayStarter", "run"]

FREED_SECONDS = 15.0
"""How long hosts may take to give back what was reserved on them."""

Jobs = Callable[[int], tuple[Sequence[Job], Sequence[Job]]]
"""Number of ranks -> (ranks, helpers), ready to be started."""


def run(new: Callable[[int], RayStarter], jobs: Jobs, asked: int, divides: Callable[[int], bool]) -> None:
    """Run to the end.

    Args:
        new: a starter for so many ranks.
        jobs: of so many ranks.
        asked: ranks that were asked for.
        divides: whether the recipe's batches divide over so many.

    Raises:
        R1Error: what a process reported, with its exit code; or the head was lost, or hosts were too often.
        Interrupted: a signal came; the ranks were told.
    """
    counts = [asked, *(count for count in range(asked - 1, 0, -1) if divides(count))]
    ranks, restarts = asked, 0
    while True:
        starter = new(ranks)
        starter.more = [[*more, *helpers] for count in counts if count > ranks for more, helpers in [jobs(count)]]
        settings = starter.settings
        try:
            launch(
                *jobs(ranks),
                starter=starter,
                restarts=settings.restarts,
                lost_after=settings.lost_after,
                tell=_say,
            )
            return
        except R1Error as error:
            if starter.makes_room():
                _say("there is room for more ranks, which go on from the last step")
            elif lost := _lost(error, starter):
                restarts += 1
                if restarts > settings.restarts:
                    raise RankError(
                        f"{lost}, once more than cluster.restarts = {settings.restarts}; run the same command to go on"
                    ) from None
                _say(f"{lost}; the ranks are started again from the last resume point ({restarts})")
            else:
                raise
        ranks = _what_fits(starter, jobs, [count for count in counts if count >= min(settings.fewest_ranks, asked)])


def _lost(error: R1Error, starter: RayStarter) -> str:
    """What was lost, where that ended the ranks; empty: something else did."""
    if isinstance(error, HeadLost):
        return ""
    if isinstance(error, Lost):
        return str(error)
    return starter.lost() if isinstance(error, RankError) else ""


def _what_fits(starter: RayStarter, jobs: Jobs, counts: Sequence[int]) -> int:
    """How many ranks go on: what was asked for, or what finds room; waits for hosts where not even the fewest do."""
    cluster, settings = starter.cluster, starter.settings
    began, told = time.monotonic(), False
    while True:
        missing: MissingError | None = None
        for count in counts:
            try:
                wanted = [*jobs(count)[0], *jobs(count)[1]]
                plan(cluster.hosts(fresh=True), wanted, starter.first, share_devices=settings.share_devices)
                if count == counts[0] or time.monotonic() - began > FREED_SECONDS or starter.has_back_all():
                    return count
            except MissingError as error:
                missing = missing or error
        waited = time.monotonic() - began
        if missing and waited > 60 * settings.wait_minutes:
            raise R1Error(f"{missing}; waited {settings.wait_minutes:g} minutes; run the same command to go on")
        if missing and not told and waited > FREED_SECONDS:
            _say(f"waiting for hosts, up to {settings.wait_minutes:g} minutes: {missing}")
            told = True
        starter.check_head()
        time.sleep(0.5)


def _say(line: str) -> None:
    print(line, flush=True)
