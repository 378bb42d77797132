"""A process on a host of a Ray cluster: it is started, asked about and ended through its keeper there."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Protocol

from r1kit.cluster.placement import Host, Slot, is_rank
from r1kit.cluster.processes import Job
from r1kit.cluster.ray.cluster import PLACE_SECONDS, Cluster, Reserved
from r1kit.cluster.settings import Cluster as Settings
from r1kit.errors import R1Error, first_line

__all__ = ["RayProcess"]

PLACE_AGAIN_SECONDS = 1.0
"""Between two looks for room for a helper that was lost."""


class Owner(Protocol):
    """What a process needs of its starter."""

    cluster: Cluster
    settings: Settings
    folder: str

    def hear(self) -> None: ...

    def tell(self, process: RayProcess, stream: str, line: str) -> None: ...

    def called(self, host: Host) -> str: ...

    def environment(self, job: Job, reserved: Reserved, address: str) -> dict[str, str]: ...

    def look_for_room(self, job: Job) -> Reserved | None: ...

    def give_back(self, reserved: Reserved) -> None: ...

    def patience(self) -> float: ...

    def forget(self, process: RayProcess) -> None: ...


class RayProcess:
    """A job in its place, asked about through its keeper."""

    def __init__(self, starter: Owner, job: Job) -> None:
        self.starter, self.job = starter, job
        self.reserved: Reserved | None = None
        self.answered = time.monotonic()
        """When its keeper last did."""
        self.unheard = 0.0
        """When it was first asked what it has not answered yet; 0: it has answered all."""
        self.gone = ""
        """Why its keeper can be asked no more; empty: it can."""
        self._ray = starter.cluster.ray
        self.code: int | None = None
        """Exit code, or minus the signal; None: it has not ended by itself."""
        self._words = ""
        self._asked: Any = None
        self.placing: Reserved | None = None
        self._looked = 0.0

    @property
    def name(self) -> str:
        return f"{self.job.name} @ {self.starter.called(self.slot.host)}" if self.reserved else self.job.name

    @property
    def slot(self) -> Slot:
        assert self.reserved is not None
        return self.reserved.slot

    def begin(self, reserved: Reserved, address: str) -> None:
        """Start it there."""
        self.reserved, self.answered, self.unheard = reserved, time.monotonic(), time.monotonic()
        here = self.slot.host.id == self.starter.cluster.here
        guard = os.path.join(self.starter.folder, ".writer") if self.job.name == "rank 0" else ""
        self._asked = reserved.keeper.start.remote(
            [sys.executable if here else "", *self.job.command],
            self.starter.environment(self.job, reserved, address),
            os.getcwd(),
            guard,
        )

    def hear(self) -> None:
        """Take in its keeper's answer, if one has come, and ask again. Never waits."""
        if self.code is not None or self.gone:
            return
        if self.reserved is None:
            self._place()
        elif self._asked is None:
            self._asked, self.unheard = self.reserved.keeper.poll.remote(), self.unheard or time.monotonic()
        elif self._ray.wait([self._asked], timeout=0)[0]:
            asked, self._asked = self._asked, None
            self._take(asked)

    def _place(self) -> None:
        """Look for room, then for the keeper there."""
        now = time.monotonic()
        if self.placing is None and now - self._looked > PLACE_AGAIN_SECONDS:
            self._looked, self.placing = now, self.starter.look_for_room(self.job)
        elif self.placing is not None and self._ray.wait([self.placing.asked], timeout=0)[0]:
            placing, self.placing = self.placing, None
            try:
                placing.stands = self._ray.get(placing.asked)
            except self._ray.exceptions.RayError:
                self.starter.give_back(placing)
            else:
                self.begin(placing, placing.slot.host.address)
        elif self.placing is not None and now - self._looked > PLACE_SECONDS:
            self.starter.give_back(self.placing)
            self.placing = None

    def _take(self, asked: Any) -> None:
        errors = self._ray.exceptions
        try:
            said = self._ray.get(asked)
        except errors.ActorUnavailableError:
            return  # it may come back; ``answered`` says for how long it has not
        except errors.RayTaskError as error:
            raise R1Error(f"{self.name} could not be started: {error.cause}") from None
        except errors.RayError as error:  # its keeper died; or Ray ended it, as where a host runs out of memory
            self.gone = first_line(error)[:200]
            return
        self.answered, self.unheard = time.monotonic(), 0.0
        if isinstance(said, dict):
            for stream, line in said["lines"]:
                self.starter.tell(self, stream, line)
            self.code = said["code"]
            self._words = said["words"]

    @property
    def is_silent(self) -> bool:
        """Whether nothing more can be expected of it."""
        if self.reserved is None or self.code is not None:
            return False
        waited = time.monotonic() - self.unheard if self.unheard else 0.0
        return bool(self.gone) or waited > self.starter.settings.lost_after

    def lose(self, why: str) -> None:
        """It counts as ended: it is started again elsewhere."""
        self.gone, self.code = why, 1
        self._words = json.dumps({"words": f"was lost ({why})"})

    # ---- as a Process -----------------------------------------------------------------------------------------------

    def poll(self) -> int | None:
        """See ``Process``. Raises as ``RayStarter.hear``."""
        self.starter.hear()
        return self.code

    def send_signal(self, number: signal.Signals) -> None:
        if self.reserved and not self.gone:
            with suppress(Exception):
                self.reserved.keeper.signal.remote(int(number))

    def last_words(self) -> str:
        return self._words

    def kill(self) -> None:
        if self.reserved and not self.gone:
            with suppress(Exception):
                self._asked = self.reserved.keeper.end.remote()

    def wait(self) -> None:
        """See ``Process``. One on a host that does not answer is left to its keeper, which ends it by itself."""
        if self.reserved and not self.gone and self._asked is not None:
            if self.slot.host.id in self.starter.cluster.given_up:
                self.gone = "its host was lost"
            else:
                try:
                    self._ray.get(self._asked, timeout=self.starter.patience())
                except Exception:
                    self.gone = "no answer"
        if not is_rank(self.job):
            self.starter.forget(self)
