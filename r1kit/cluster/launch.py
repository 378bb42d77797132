"""``r1 run``'s side of its ranks: start one process each, watch them, and end the run within seconds of a death.

Exactly one line reaches the user, from here. A rank that fails says why over a pipe and leaves; a rank whose peer is
gone finds out inside a collective and leaves quietly, so that the true cause is what is shown.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from r1kit import interrupts
from r1kit.errors import Interrupted, PeerLostError, R1Error, RankError

__all__ = ["Ended", "cause", "guard", "is_launched", "launch", "run_as_rank", "tunables"]

GRACE_SECONDS = 3.0
"""How long the others have once one rank has ended because a signal came. Ranks that work on a step end it together;
one that waits for its peers outside of Python cannot hear."""
SETTLE_SECONDS = 2.0
"""How long to wait, once a rank has lost its peers, for the one that was the cause."""
_STOPPED = (Interrupted.exit_code, -signal.SIGTERM)
"""How a rank ends that was told to; the second before it heeds signals."""
PARENT, WORDS = "R1KIT_PARENT", "R1KIT_WORDS"
"""Environment of a rank: its parent's process id; the file descriptor that takes its last line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a rank ended."""

    rank: int
    code: int
    """Exit code, or minus the signal."""
    words: str = ""
    """Its last line; empty when it could not say."""
    own: bool = False
    """The line is meant for the user as it is (an R1Error), and says all."""
    name: str = ""
    """What it is called; empty: ``rank`` and its number."""


def launch(arguments: Sequence[str], size: int, threads: int, keep: Sequence[int] = (), run: str = "") -> None:
    """Run ``python -m r1kit <arguments>`` as ``size`` ranks and wait until all are done.

    ``keep`` are file descriptors that every rank inherits (the run folder's lock lives as long as any of them);
    ``run`` is handed to them as ``R1KIT_RUN``.

    Raises:
        R1Error: what a rank reported, with that rank's exit code.
        RankError: a rank died without a word; the others were ended.
        Interrupted: a signal came. The ranks were told, and have written a resume point at the end of their step;
            after a second signal they were ended at once.
    """
    ranks: list[_Rank] = []
    try:
        with interrupts.heeded(), interrupts.held():
            port = str(_free_port())
            for rank in range(size):  # one by one: what was started when a start fails must be ended
                ranks.append(_Rank(arguments, rank, _environment(rank, size, threads, port, run), keep))  # noqa: PERF401
            _watch(ranks)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted again, so ended at once; {interrupts.GO_ON}") from None
    finally:
        _end(ranks)


def guard(arguments: Sequence[str], name: str) -> None:
    """Run ``python -m r1kit <arguments>`` as one process that is no rank, and wait until it is done.

    Args:
        name: what it is called where it cannot say itself why it ended.

    Raises:
        as ``launch``.
    """
    process: list[_Rank] = []
    try:
        with interrupts.heeded(), interrupts.held():
            process.append(_Rank(arguments, 0, {**os.environ, PARENT: str(os.getpid())}, (), name))
            _watch(process)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted again, so ended at once; {interrupts.GO_ON}") from None
    finally:
        _end(process)


class _Rank:
    """One process, and the pipe that takes its last words."""

    def __init__(
        self, arguments: Sequence[str], rank: int, environment: dict[str, str], keep: Sequence[int], name: str = ""
    ) -> None:
        self.receive, send = os.pipe()
        with _blocked(signal.SIGINT, signal.SIGHUP):  # a rank inherits this: they reach the whole group, and the
            # parent answers for all
            self.process = subprocess.Popen(
                [sys.executable, "-m", "r1kit", *arguments],
                env={**environment, WORDS: str(send)},
                pass_fds=(*keep, send),
            )
        os.close(send)
        self.rank, self.name = rank, name

    def ended(self, code: int) -> Ended:
        """What it reported before it ended with ``code``."""
        os.set_blocking(self.receive, False)
        with suppress(BlockingIOError):
            if text := os.read(self.receive, 1 << 16):
                return Ended(rank=self.rank, code=code, name=self.name, **json.loads(text))
        return Ended(rank=self.rank, code=code, name=self.name)


def _environment(rank: int, size: int, threads: int, port: str, run: str) -> dict[str, str]:
    loopback = "lo" if sys.platform == "linux" else "lo0"
    return {
        "GLOO_SOCKET_IFNAME": loopback,  # one host: no name has to resolve, nothing is open to the network
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(size),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "OMP_NUM_THREADS": str(threads),
        "GLIBC_TUNABLES": tunables(os.environ.get("GLIBC_TUNABLES", "")),
        "R1KIT_RUN": run,
        PARENT: str(os.getpid()),
    }


def tunables(present: str) -> str:
    """Ask glibc for huge pages: an update touches tens of megabytes, and where memory is virtualised a miss of the page
    tables costs most. Only a process that starts can be told; a value that the user has set stays."""
    return present if "glibc.malloc.hugetlb" in present else f"{present}:glibc.malloc.hugetlb=1".lstrip(":")


def _watch(ranks: Sequence[_Rank]) -> None:
    """Until all ranks are done, or one is not well. A signal is handed on to them, once."""
    patience, told = 0.0, False
    while True:
        codes = [rank.process.poll() for rank in ranks]
        if all(code == 0 for code in codes):
            return
        if interrupts.asked() and not told:
            told = True
            for rank in ranks:
                rank.process.send_signal(signal.SIGTERM)
        failed = [code for code in codes if code]
        polite = _STOPPED if told else _STOPPED[:1]
        stopped = any(code in polite for code in failed)
        if failed and not patience:
            patience = time.monotonic() + (GRACE_SECONDS if stopped else SETTLE_SECONDS)
        known = any(code not in (PeerLostError.exit_code, *polite) for code in failed)
        if failed and (known or all(code is not None for code in codes) or time.monotonic() > patience):
            ended = [rank.ended(code) for rank, code in zip(ranks, codes, strict=True) if code is not None]
            raise cause(ended, stopping=told)
        time.sleep(0.05)


def cause(found: Sequence[Ended], *, stopping: bool = False) -> R1Error:
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
        return {0: 2, PeerLostError.exit_code: 3}.get(ended.code, 1), ended.rank

    first = min(found, key=weight)
    if first.own:
        error = R1Error(first.words)
        error.exit_code = first.code
        return error
    why = first.words or f"ended with exit code {first.code} before its work was done"
    if first.code < 0:
        why = f"was ended by {signal.Signals(-first.code).name}"
        why += " (killed from outside, or out of memory)" if first.code == -signal.SIGKILL else ""
    return RankError(f"{first.name or f'rank {first.rank}'} {why}; run the same command to go on")


def _end(ranks: Sequence[_Rank]) -> None:
    """No rank outlives this. What a rank was writing is whole as it was before."""
    for rank in ranks:
        rank.process.kill()
    for rank in ranks:
        rank.process.wait()
        os.close(rank.receive)


@contextmanager
def _blocked(*numbers: signal.Signals) -> Iterator[None]:
    """What comes meanwhile comes afterwards; a process that is started meanwhile never hears it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- a rank's side ----------------------------------------------------------------------------------------------


def is_launched() -> bool:
    """Is this process a rank that ``launch`` started?"""
    return PARENT in os.environ


def run_as_rank(work: Callable[[], None]) -> NoReturn:
    """Do a launched rank's work and leave at once, whatever happens: peers in a collective must not wait for it."""
    _die_with_parent()
    try:
        with interrupts.heeded(again=False):
            work()
    except KeyboardInterrupt as stopped:
        _leave(Interrupted.exit_code, str(stopped), own=True)
    except R1Error as error:
        _leave(error.exit_code, str(error), own=not isinstance(error, PeerLostError))
    except Exception as error:
        traceback.print_exc()
        _leave(1, f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    _leave(0)


def _leave(code: int, line: str = "", own: bool = False) -> NoReturn:
    if line:
        words = json.dumps({"words": " ".join(line.split())[:4000], "own": own})
        os.write(int(os.environ[WORDS]), words.encode())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it dies, so that no rank is left behind."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT]):  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)
