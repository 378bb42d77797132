"""Helpers beside a run's ranks, for whoever started it: told where the directory is, watched, started again.

A helper ends in one of two ways: its process does, or it gives no sign of life, and then its process is ended.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from r1kit.cluster.directory import DIRECTORY, HOST, LIFE, NAME, Directory
from r1kit.cluster.last_words import heard
from r1kit.cluster.processes import Job, Place, Process, Starter
from r1kit.cluster.wire import TOKEN
from r1kit.errors import InputError, MissingError, R1Error

__all__ = ["Ended", "Helpers", "end", "ended_as"]

SILENT = 3
"""Times ``lost_after`` without a sign of life, after which a helper's process is ended: ranks let go of it after one
already and lose little if it comes back, which on a machine with too much to do it may."""
_USELESS = (InputError.exit_code, MissingError.exit_code)
"""How a helper ends that could not work however often it was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended."""

    rank: int
    name: str
    """What it is called."""
    code: int
    """Exit code, or minus the signal."""
    words: str = ""
    """Its last line; empty when it could not say."""
    own: bool = False
    """The line is meant for the user as it is (an R1Error), and says all."""
    doing: str = ""
    """The stage that it was at."""
    place: str = ""
    """The line of a user's file that ended it, and how where that is no signal."""
    done: bool = False
    """It has done all its work."""

    @property
    def why(self) -> str:
        """How it ended, after its name."""
        at = f" at {self.place}" if self.place else ""
        if self.code >= 0:
            return self.words or f"ended with exit code {self.code} before its work was done{at}"
        outside = " (killed from outside, or out of memory)" if self.code == -signal.SIGKILL else ""
        return f"was ended by {signal.Signals(-self.code).name}{outside}{at}"

    @property
    def error(self) -> R1Error:
        """Its own, with its exit code."""
        error = R1Error(self.words)
        error.exit_code = self.code
        return error


class Helpers:
    """Those of one run; none at all is fine."""

    def __init__(self, starter: Starter, restarts: int, lost_after: float, tell: Callable[[str], None]) -> None:
        """See ``launch``."""
        self._starter, self._restarts, self._silent, self._tell = starter, restarts, SILENT * lost_after, tell
        self._beside: list[_Helper] = []
        self._directory: Directory | None = None
        self._token = secrets.token_hex(32)

    def start(self, jobs: Sequence[Job], places: Sequence[Place]) -> None:
        """Start them; what was started when a start fails is among ``processes``."""
        if jobs:
            self._directory = Directory(self._starter.home, self._token.encode())
        for job, place in zip(jobs, places, strict=True):
            helper = _Helper(job)
            self._start(helper, place)
            self._beside.append(helper)

    def told(self, job: Job) -> Job:
        """The job, told where the helpers are to be asked for."""
        if self._directory is None:
            return job
        host, port = self._directory.address
        return replace(job, environment={**job.environment, DIRECTORY: f"{host}:{port}", TOKEN: self._token})

    @property
    def processes(self) -> list[Process]:
        """That live, or have not been looked at since they ended."""
        return [helper.process for helper in self._beside if helper.process is not None]

    def look(self) -> None:
        """Start again whoever has ended.

        Raises:
            R1Error: a helper's own, when it could never work.
        """
        for helper in self._beside:
            if helper.process is None:
                continue
            if (code := helper.process.poll()) is not None:
                self._again(helper, ended_as(-1, helper.process, code))
            elif self._directory and self._directory.silent(helper.job.name, helper.life) > self._silent:
                words = f"gave no sign of life for {self._silent:g} s, so it was ended"
                self._again(helper, Ended(rank=-1, name=helper.process.name, code=1, words=words))

    def _again(self, helper: _Helper, ended: Ended) -> None:
        assert helper.process is not None
        process, helper.process = helper.process, None
        end([process])
        if ended.own and ended.code in _USELESS:
            raise ended.error
        if self._directory is not None:
            self._directory.forget(helper.job.name)
        left = helper.life < self._restarts
        what = "is started again" if left else "is not started again: cluster.restarts is spent"
        self._tell(f"{ended.name} {ended.why}; it {what}")
        if left:
            helper.life += 1
            self._start(helper, self._starter.places([helper.job])[0])

    def _start(self, helper: _Helper, place: Place) -> None:
        own = {NAME: helper.job.name, LIFE: str(helper.life), HOST: place.host}
        job = self.told(helper.job)
        helper.process = self._starter.start(replace(job, environment={**job.environment, **own}), place)

    def close(self) -> None:
        """Answer nobody any more; the processes have ended."""
        if self._directory is not None:
            self._directory.close()


@dataclass(slots=True)
class _Helper:
    job: Job
    life: int = 0
    """Times that it was started again."""
    process: Process | None = None
    """None: it has ended for good."""


def ended_as(rank: int, process: Process, code: int) -> Ended:
    """How a rank, by its number, or a helper (-1) ended."""
    return Ended(rank=rank, name=process.name, code=code, **heard(process.last_words()))


def end(processes: Sequence[Process]) -> None:
    """None of them outlives this. What a rank was writing is whole as it was before."""
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
