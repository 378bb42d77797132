"""A run's processes on the hosts of a Ray cluster, as ``launch`` sees them, and how the loss of a host is noticed."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, TextIO

from r1kit import interrupts
from r1kit.cluster.placement import Host, Slot, is_rank, plan
from r1kit.cluster.processes import LOOPBACK, Job, Place
from r1kit.cluster.ray.cluster import Cluster, Lost, Reserved
from r1kit.cluster.ray.environment import carried, environment
from r1kit.cluster.ray.process import RayProcess
from r1kit.cluster.settings import Cluster as Settings
from r1kit.errors import Interrupted, MissingError, PeerLostError, R1Error

__all__ = ["HeadLost", "RayStarter"]

HEAR_SECONDS = 0.1
"""Between two looks at what keepers have answered."""
PATIENCE = 3.0
"""Of ``lost_after``: how long a head may be silent that can be reached, as that of a machine with too much to do."""
LEASE = 1.5
"""Of ``lost_after``: a keeper that nobody has asked for so long ends its process. A little longer than this side waits,
so that a host which was only slow has not given up first."""
COUNTED_SECONDS = 5.0
"""After something was reserved Ray may for so long count it as free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _On(Place):
    """A place that was reserved; None: one that is still looked for."""

    reserved: Reserved | None = None


class RayStarter:
    """A ``Starter``; one for every time that the ranks are started."""

    def __init__(self, cluster: Cluster, settings: Settings, folder: str, threads: int, errors: TextIO) -> None:
        """
        Args:
            folder: the run folder.
            threads: a rank, as the user asked; 0: its host's cores over the ranks there.
            errors: takes what processes say, each line with a name.
        """
        self.cluster, self.settings = cluster, settings
        self.folder, self.threads, self.errors = folder, threads, errors
        self.first = cluster.here if settings.first_rank == "driver" else ""
        self.home = next((host.address for host in cluster.hosts() if host.id == cluster.here), LOOPBACK)
        self.more: Sequence[Sequence[Job]] = ()
        """What would be started if there were room, the most first."""
        self.growing = False
        """Whether the ranks were told to stop so that more can go on."""
        self._placed = self._ending = 0.0
        self._processes: list[RayProcess] = []
        self._reserved: list[Reserved] = []
        self._heard = 0.0

    # ---- as a Starter -----------------------------------------------------------------------------------------------

    def places(self, jobs: Sequence[Job]) -> Sequence[Place]:
        """Reserved for ranks and what is started with them; a helper that is started anew waits for room."""
        if not any(map(is_rank, jobs)):
            return [_On(host="") for _ in jobs]
        slots = plan(self.cluster.hosts(fresh=True), jobs, self.first, share_devices=self.settings.share_devices)
        reserved = self.cluster.reserve(slots, LEASE * self.settings.lost_after)
        self.cluster.settle(reserved)
        self._reserved += reserved
        self._placed = time.monotonic()
        alone = all(each.slot.host.id == self.cluster.here for each in reserved)
        return [_On(host=LOOPBACK if alone else each.slot.host.address, reserved=each) for each in reserved]

    def free_port(self, place: Place) -> int:
        """See ``Starter``."""
        assert isinstance(place, _On)
        assert place.reserved is not None
        return int(place.reserved.stands["port"])

    def start(self, job: Job, place: Place) -> RayProcess:
        """See ``Starter``."""
        assert isinstance(place, _On)
        process = RayProcess(self, job)
        self._processes.append(process)
        if place.reserved is not None:
            process.begin(place.reserved, place.host)
        return process

    def close(self) -> None:
        """See ``Starter``."""
        self.cluster.release(self._reserved)

    def patience(self) -> float:
        """Seconds that the end of a process is still waited for: all of them share the time of one."""
        self._ending = self._ending or time.monotonic() + self.settings.lost_after
        return max(0.5, self._ending - time.monotonic())

    def forget(self, process: RayProcess) -> None:
        """A helper that has ended, and its place."""
        self._ending = 0.0
        self._processes.remove(process)
        for reserved in (process.reserved, process.placing):
            if reserved is not None:
                self.give_back(reserved)

    # ---- placing ----------------------------------------------------------------------------------------------------

    def look_for_room(self, job: Job) -> Reserved | None:
        """A place for a helper that was lost, asked for; None: there is no room now."""
        if not self._counted_lately():
            return None
        try:
            (slot,) = plan(self.cluster.hosts(), [job])
        except MissingError:
            return None
        (reserved,) = self.cluster.reserve([slot], LEASE * self.settings.lost_after)
        self._reserved.append(reserved)
        return reserved

    def _counted_lately(self) -> bool:
        return time.monotonic() - self.cluster.counted < 2 * self.settings.heartbeat

    def give_back(self, reserved: Reserved) -> None:
        """What a helper had; the ranks of a host share a group, which goes when all do."""
        self._reserved.remove(reserved)
        self.cluster.release([reserved])

    def environment(self, job: Job, reserved: Reserved, address: str) -> dict[str, str]:
        """What a process is told, see ``environment``."""
        host, owner = reserved.slot.host, reserved.slot.owner
        of = next((each for each in self._reserved if each.slot.job.name == owner), reserved)
        cores = int(self.cluster.said.get(host.id, {}).get("cores", host.cpus))
        given = carried(here=host.id == self.cluster.here)
        stands = {**reserved.stands, "gpus": of.stands["gpus"]}
        return environment(job, given, stands, address, self.threads, cores)

    def called(self, host: Host) -> str:
        """A host's name, where no other has the same, else its address."""
        names = [about["name"] for about in self.cluster.said.values()]
        name = self.cluster.said.get(host.id, {}).get("name", "")
        return name if names.count(name) == 1 else host.address

    # ---- hearing ----------------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take in what keepers have answered, and ask again; called before every look at a process.

        Raises:
            Lost: a rank's host, or the cluster's head.
        """
        now = time.monotonic()
        if now - self._heard < HEAR_SECONDS:
            return
        if self._heard and now - self._heard > self.settings.lost_after / 2:  # it is this process that was not there
            self.cluster.answered = now
            for process in self._processes:
                process.unheard = 0.0
        self._heard = now
        for process in self._processes:
            process.hear()
        self.check_head()
        if ranks := [process for process in self._processes if process.is_silent and is_rank(process.job)]:
            raise Lost(self.account(ranks))
        for process in [process for process in self._processes if process.is_silent]:
            process.lose(self.account([process]))
        while self.cluster.refused:
            print(f"not used: {self.cluster.refused.pop()}", file=self.errors, flush=True)
        waits = any(process.reserved is None for process in self._processes)
        self.cluster.counting = waits or bool(self.more)
        settled = self.cluster.counted > self._placed + COUNTED_SECONDS
        if self.more and not self.growing and not interrupts.asked() and settled and self._counted_lately():
            any(self._grow(jobs) for jobs in self.more)

    def check_head(self) -> None:
        """Raises HeadLost: it is silent and cannot be reached, or is silent for long."""
        limit = self.settings.lost_after
        silent = time.monotonic() - self.cluster.answered
        if silent > limit and (silent > PATIENCE * limit or not self.cluster.reaches_head()):
            self._lose_head(silent)

    def _lose_head(self, silent: float) -> NoReturn:
        self.cluster.headless = True
        raise HeadLost(
            f"the head of the Ray cluster at {self.cluster.address} was lost (no answer for {silent:.0f} s), and "
            "the run was ended; start the cluster again and run the same command to go on"
        )

    def has_back_all(self) -> bool:
        """Whether every host that is left has given back what was reserved on it."""
        held: dict[str, float] = {}
        for each in self._reserved:
            held[each.slot.host.id] = held.get(each.slot.host.id, 0.0) + each.slot.needs.cpus
        return all(host.cpus >= held.get(host.id, 0.0) for host in self.cluster.hosts(fresh=True))

    def account(self, silent: Sequence[RayProcess]) -> str:
        """What is told of processes that give no sign of life. A host that does not answer is given up until it joins
        anew."""
        if not self.cluster.reaches_head():  # before anything is asked of Ray that waits for it
            self._lose_head(time.monotonic() - self.cluster.answered)
        hosts = {process.slot.host.id: process.slot.host for process in silent}
        for host in hosts.values():
            mute = any(process.slot.host.id == host.id and not process.gone for process in silent)
            if mute or not self.cluster.lives(host, self.settings.lost_after / 4):
                self.cluster.given_up[host.id] = time.monotonic()
        names = ", ".join(process.job.name for process in silent)
        down = [self.called(host) for host in hosts.values() if host.id in self.cluster.given_up]
        if down:
            waited = max(time.monotonic() - process.answered for process in silent)
            return f"host {', '.join(down)} was lost with {names} (no sign of life for {waited:.0f} s)"
        return f"{names} @ {', '.join(map(self.called, hosts.values()))} was lost: {silent[0].gone or 'no answer'}"

    def lost(self) -> str:
        """What was lost, seen when the processes were ended; empty: nothing."""
        if not self.cluster.reaches_head():
            self._lose_head(time.monotonic() - self.cluster.answered)
        ranks = [process for process in self._processes if is_rank(process.job)]
        if silent := [process for process in ranks if process.gone]:
            return self.account(silent)
        codes = {process.code for process in ranks}
        if PeerLostError.exit_code in codes and codes <= {PeerLostError.exit_code, None, 0}:
            return "the ranks lost each other, though every host answers (a network that broke for a while?)"
        return ""

    def tell(self, process: RayProcess, stream: str, line: str) -> None:
        """A line that a process said. What rank 0 prints is the run's own account, and is shown as it is."""
        if process.job.name == "rank 0" and stream == "out":
            print(line, flush=True)
        else:
            print(f"{process.name}: {line}", file=self.errors, flush=True)

    # ---- more hosts -------------------------------------------------------------------------------------------------

    def _grow(self, jobs: Sequence[Job]) -> bool:
        """Tell the ranks to stop at the end of their step if these jobs, which are more, find room in their place."""
        mine = {each.slot.host.id: each for each in self._reserved}
        hosts = [
            _with(host, [each.slot for each in self._reserved if each.slot.host.id == host.id]) if host.id in mine
            else host for host in self.cluster.hosts()
        ]  # fmt: skip
        try:
            plan(hosts, jobs, self.first, share_devices=self.settings.share_devices)
        except MissingError:
            return False
        self.growing = True
        for process in self._processes:
            if is_rank(process.job):
                process.send_signal(signal.SIGTERM)
        return True

    def makes_room(self) -> bool:
        """Whether the ranks have ended because they were told to, so that more can go on; the last of them perhaps
        before it heeded signals."""
        codes = {process.code for process in self._processes if is_rank(process.job)}
        told = {0, None, Interrupted.exit_code, PeerLostError.exit_code, -signal.SIGTERM}
        return self.growing and codes <= told and not interrupts.asked()


class HeadLost(R1Error):
    """The cluster has no head any more, so nothing can be placed."""


def _with(host: Host, slots: Sequence[Slot]) -> Host:
    """A host once these were given back."""
    return replace(
        host,
        cpus=host.cpus + sum(slot.needs.cpus for slot in slots),
        gpus=host.gpus + sum(slot.needs.gpus for slot in slots),
        memory_gb=host.memory_gb + sum(slot.needs.memory_gb for slot in slots),
    )
