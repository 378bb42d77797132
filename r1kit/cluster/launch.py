"""``r1 run``'s side of its processes: start them, watch them, and end the run within seconds of a rank's death.

Exactly one line about it reaches the user, from here. A rank that fails says why over a pipe and leaves; a rank whose
peer is gone finds out inside a collective and leaves quietly, so that the true cause is what is shown. A helper, which
samples or scores for the ranks, may die: it is started again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from r1kit import interrupts
from r1kit.cluster.beside import Ended, Helpers, end, ended_as
from r1kit.cluster.processes import LOOPBACK, Here, Job, Place, Process, Starter
from r1kit.errors import Interrupted, PeerLostError, R1Error, RankError

__all__ = ["launch", "rank_jobs"]

GRACE_SECONDS = 3.0
"""How long the others have once one rank has ended because a signal came. Ranks that work on a step end it together;
one that waits for its peers outside of Python cannot hear."""
SETTLE_SECONDS = 2.0
"""How long to wait, once a rank has lost its peers, for the one that was the cause."""
_STOPPED = (Interrupted.exit_code, -signal.SIGTERM)
"""How a rank ends that was told to; the second before it heeds signals."""


def rank_jobs(arguments: Sequence[str], size: int, threads: int, run: str = "") -> list[Job]:
    """``python -m r1kit <arguments>`` as so many ranks of so many threads; ``run`` is told them as ``R1KIT_RUN``."""
    shared = {"WORLD_SIZE": str(size), "OMP_NUM_THREADS": str(threads), "R1KIT_RUN": run}
    command = ("-m", "r1kit", *arguments)
    return [
        Job(name=f"rank {rank}", command=command, environment={**shared, "RANK": str(rank)}) for rank in range(size)
    ]


def launch(
    ranks: Sequence[Job], helpers: Sequence[Job] = (), *, starter: Starter | None = None, restarts: int = 0,
    lost_after: float = 10.0, tell: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Start the processes of a run and wait until all ranks are done.

    Args:
        ranks: in order, see ``rank_jobs``.
        helpers: processes beside them, which do not outlive them.
        starter: of the processes; by default on this machine.
        restarts: times that each helper is started again.
        lost_after: seconds without a sign of life; after three times as long a helper is ended.
        tell: takes a line for the user.

    Raises:
        R1Error: what a rank reported, with that rank's exit code.
        RankError: a rank died without a word; the others were ended.
        MissingError: there is no room for the processes.
        Interrupted: a signal came. The ranks were told, and have written a resume point at the end of their step;
            after a second signal they were ended at once.
    """
    starter = starter or Here()
    started: list[Process] = []
    beside = Helpers(starter, restarts, lost_after, tell)
    try:
        with interrupts.heeded(), interrupts.held():
            places = starter.places([*ranks, *helpers])
            beside.start(helpers, places[len(ranks) :])
            here, ranks = places[: len(ranks)], [beside.told(job) for job in ranks]
            for job, place in zip(_meeting(ranks, here, starter.free_port(here[0])), here, strict=True):
                started.append(starter.start(job, place))
            _watch(started, beside)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted again, so ended at once; {interrupts.GO_ON}") from None
    finally:
        end([*started, *beside.processes])
        beside.close()
        starter.close()


def _meeting(ranks: Sequence[Job], places: Sequence[Place], port: int) -> list[Job]:
    """The ranks, told where they meet and which of their host's they are."""
    hosts = [place.host for place in places]
    shared = {"MASTER_ADDR": hosts[0], "MASTER_PORT": str(port)}
    if set(hosts) == {LOOPBACK} and "GLOO_SOCKET_IFNAME" not in os.environ:  # one host: no name has to resolve, nothing
        shared["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"  # is open to the network
    told = []
    for number, (job, host) in enumerate(zip(ranks, hosts, strict=True)):
        own = {"LOCAL_RANK": str(hosts[:number].count(host)), "LOCAL_WORLD_SIZE": str(hosts.count(host))}
        told.append(replace(job, environment={**job.environment, **shared, **own}))
    return told


def _watch(ranks: Sequence[Process], helpers: Helpers) -> None:
    """Until all ranks are done, or one is not well. A signal is handed on to them, once."""
    patience, told = 0.0, False
    ended: list[Ended | None] = [None] * len(ranks)
    while True:
        for number, rank in enumerate(ranks):
            if ended[number] is None and (code := rank.poll()) is not None:
                ended[number] = ended_as(number, rank, code)
        found = [each for each in ended if each]
        if len(found) == len(ranks) and all(each.code == 0 and each.done for each in found):
            return
        if interrupts.asked() and not told:
            told = True
            for rank in ranks:
                rank.send_signal(signal.SIGTERM)
        failed = [each.code for each in found if each.code or not each.done]
        polite = _STOPPED if told else _STOPPED[:1]
        stopped = any(code in polite for code in failed)
        if failed and not patience:
            patience = time.monotonic() + (GRACE_SECONDS if stopped else SETTLE_SECONDS)
        known = any(code not in (PeerLostError.exit_code, *polite) for code in failed)
        if failed and (known or len(found) == len(ranks) or time.monotonic() > patience):
            raise _cause(found, stopping=told)
        helpers.look()
        time.sleep(0.05)


def _cause(found: Sequence[Ended], *, stopping: bool = False) -> R1Error:
    """The error that explains the run's end: a signal, else a rank's own words, else an exit nobody explained.

    Args:
        found: the ranks that have ended.
        stopping: they were told to.
    """
    if stopping:
        words = next((ended.words for ended in found if ended.code == Interrupted.exit_code), "")
        if words or all(ended.code in (0, *_STOPPED) for ended in found):
            by = f"by {signal.SIGTERM.name}"  # what the ranks were sent
            return Interrupted(words.replace(by, f"by {interrupts.asked()}", 1)) if words else interrupts.interrupted()

    def weight(ended: Ended) -> tuple[int, int]:
        if ended.code < 0:
            return 0, ended.rank
        return 2 if ended.done else 3 if ended.code == PeerLostError.exit_code else 1, ended.rank

    first = min(found, key=weight)
    if first.own:
        return first.error
    during = f"{first.doing}: " if first.doing else ""
    return RankError(f"{during}{first.name} {first.why}; run the same command to go on")
