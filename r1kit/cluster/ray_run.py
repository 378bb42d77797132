"""A run on a Ray cluster: ranks placed, watched, and after a host was lost started again on what is left.

The process that does this is a child of ``r1 run`` (``guard``), because Ray ends the processes that have joined a
cluster when its head is gone; whoever reads the run's one last line must still be there then.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from r1kit import interrupts
from r1kit.cluster import launch
from r1kit.cluster.placement import RANK, Host, Slot, plan
from r1kit.cluster.ray_cluster import Cluster, Lost, Placed
from r1kit.cluster.settings import Cluster as Settings
from r1kit.errors import Interrupted, MissingError, PeerLostError, R1Error, RankError

__all__ = ["Job", "environment", "run"]

HEAR_SECONDS = 0.2
"""Between two questions to a keeper."""
CARRIED = (
    "R1KIT_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TOKENIZERS_", "TORCH_", "PYTORCH_", "ATEN_", "DNNL_", "ONEDNN_",
    "MKL_", "OMP_", "KMP_", "NCCL_", "GLOO_TIMEOUT", "VLLM_", "CUDA_LAUNCH_BLOCKING", "GLIBC_TUNABLES", "PYTHONPATH",
    "PYTHONHASHSEED", "LANG", "LC_",
)  # fmt: skip
"""Beginnings of the variables that go from here to other hosts; the rest of the environment is theirs."""
NOT_CARRIED = (launch.PARENT, launch.WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is run, wherever it is placed."""

    arguments: Sequence[str]
    """Of ``python -m r1kit``, the same for every rank."""
    folder: Path
    """The run folder, absolute."""
    ranks: int
    """That were asked for."""
    threads: int
    """A rank, as the user asked; 0: the host's cores over its ranks."""
    settings: Settings
    divides: Callable[[int], bool]
    """Whether the recipe's batches divide over so many ranks."""
    begin: Callable[[int], None]
    """Called before ranks are started, with how many there are."""
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Host id -> what ``ray_host.about`` said there."""
    errors: TextIO = sys.stderr

    def called(self, host: Host) -> str:
        """A host's name, where no other has the same, else its address."""
        names = [about["name"] for about in self.said.values()]
        name = self.said.get(host.id, {}).get("name", "")
        return name if names.count(name) == 1 else host.address

    def cores(self, host: Host) -> int:
        return int(self.said.get(host.id, {}).get("cores", host.cpus))

    def full_name(self, placed: Placed) -> str:
        return f"{placed.name} @ {self.called(placed.slot.host)}"

    def tell(self, placed: Placed, stream: str, line: str) -> None:
        """A line that a process said. What rank 0 prints is the run's own account, and is shown as it is."""
        if placed.name == f"{RANK} 0" and stream == "out":
            print(line, flush=True)
            return
        print(f"{self.full_name(placed)}: {line}", file=self.errors, flush=True)

    def say(self, line: str) -> None:
        print(line, flush=True)


class _More(Exception):
    """The ranks have stopped, so that more of them can go on."""


def run(cluster: Cluster, job: Job) -> None:
    """Run the job to its end, over the loss of hosts.

    Raises:
        R1Error: what a process reported, with its exit code; or the cluster's head is gone, or too many hosts were.
        Interrupted: a signal came; the ranks were told.
    """
    settings = job.settings
    cluster.look(settings.heartbeat)
    ranks, restarts = job.ranks, 0
    with interrupts.held():
        while True:
            placed: list[Placed] = []
            try:
                placed = cluster.place(_slots(cluster, job, ranks), settings.lost_after)
                job.begin(ranks)
                _start(cluster, job, placed)
                _watch(cluster, job, placed)
                return
            except _More:
                job.say(f"a host has joined: {ranks} ranks go on as more")
            except Lost as lost:
                restarts += 1
                if restarts > settings.restarts:
                    raise RankError(
                        f"{lost}, and cluster.restarts = {settings.restarts} are used up; run the same command to go on"
                    ) from None
                job.say(f"{lost}; the ranks are started again from the last resume point ({restarts})")
            finally:
                cluster.release(placed)
            _until_free(cluster, placed)
            ranks = _what_fits(cluster, job)


def _slots(cluster: Cluster, job: Job, ranks: int) -> list[Slot]:
    first = cluster.here if job.settings.first_rank == "driver" else ""
    return plan(cluster.hosts(fresh=True), job.settings, ranks, first)


def _until_free(cluster: Cluster, placed: Sequence[Placed]) -> None:
    """Until hosts that are still there have given back what was reserved on them."""
    wanted: Counter[str] = Counter()
    for each in placed:
        wanted[each.slot.host.id] += each.slot.needs.cpus  # type: ignore[assignment]
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            if all(host.cpus >= wanted[host.id] for host in cluster.hosts(fresh=True)):
                return
        except Exception as error:
            raise _head_lost(cluster, 0.0) from error
        time.sleep(0.1)


def _what_fits(cluster: Cluster, job: Job) -> int:
    """How many ranks go on: what was asked for, else as many as fit on what is left; waits for hosts if too few do."""
    deadline, told = time.monotonic() + 60 * job.settings.wait_minutes, False
    while True:
        try:
            return _most(cluster, job, job.settings.fewest_ranks)
        except MissingError as missing:
            if time.monotonic() > deadline:
                raise R1Error(f"{missing}; waited {job.settings.wait_minutes:g} minutes; nothing was lost") from None
            if not told:
                job.say(f"waiting for hosts, up to {job.settings.wait_minutes:g} minutes: {missing}")
                told = True
        if interrupts.asked():
            raise interrupts.interrupted()
        if time.monotonic() - cluster.answered > job.settings.lost_after:
            raise _head_lost(cluster, time.monotonic() - cluster.answered)
        time.sleep(1.0)


def _most(cluster: Cluster, job: Job, fewest: int) -> int:
    """The largest number of ranks that fits and divides the batches.

    Raises:
        MissingError: not even ``fewest`` do.
    """
    first = cluster.here if job.settings.first_rank == "driver" else ""
    hosts = cluster.hosts()
    missing: MissingError | None = None
    for ranks in range(job.ranks, max(fewest, 1) - 1, -1):
        if ranks == job.ranks or job.divides(ranks):
            try:
                plan(hosts, job.settings, ranks, first)
                return ranks
            except MissingError as error:
                missing = error
    assert missing is not None
    raise missing


# ---- starting -------------------------------------------------------------------------------------------------------


def _start(cluster: Cluster, job: Job, placed: Sequence[Placed]) -> None:
    ranks = [each for each in placed if each.slot.kind == RANK]
    ranks.sort(key=lambda each: each.slot.index)
    guard = str(job.folder / ".writer")
    started = [
        each.start(
            ["{python}" if each.slot.host.id != cluster.here else sys.executable, "-m", "r1kit", *job.arguments],
            environment(job, [rank.slot for rank in ranks], each.slot.index, ranks[0].stands["port"],
                        each.stands["interface"], here=each.slot.host.id == cluster.here),
            os.getcwd(),
            guard if each.slot.index == 0 else "",
        )
        for each in ranks
    ]  # fmt: skip
    for each, reference in zip(ranks, started, strict=True):
        try:
            cluster.ray.get(reference, timeout=3 * job.settings.lost_after)
        except cluster.ray.exceptions.RayTaskError as error:
            raise R1Error(f"{job.full_name(each)}: {error.cause}") from None
        except Exception as error:
            each.gone = str(error) or type(error).__name__
            raise _lost(cluster, job, placed, [each]) from None


def environment(job: Job, ranks: Sequence[Slot], rank: int, port: int, interface: str, *, here: bool) -> dict[str, str]:
    """What a rank is told, beside what its host's environment says: the same as ``cluster.launch`` tells it where all
    are on one host.

    Args:
        port: free on the host of rank 0.
        interface: of the rank's host, that the others reach it by.
        here: it is on this host, and gets all that this process has.
    """
    host, first = ranks[rank].host, ranks[0].host
    on_host = [each.index for each in ranks if each.host.id == host.id]
    alone = len(on_host) == len(ranks)
    loopback = "lo" if sys.platform == "linux" else "lo0"
    given = {name: text for name, text in os.environ.items() if here or name.startswith(CARRIED)}
    for name in NOT_CARRIED:
        given.pop(name, None)
    network = {"GLOO_SOCKET_IFNAME": loopback if alone else interface}
    if not alone:
        network["NCCL_SOCKET_IFNAME"] = interface
    return {
        **{name: text for name, text in network.items() if text and name not in given},
        **given,
        "MASTER_ADDR": "127.0.0.1" if alone else first.address,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(len(ranks)),
        "RANK": str(rank),
        "LOCAL_RANK": str(on_host.index(rank)),
        "LOCAL_WORLD_SIZE": str(len(on_host)),
        "OMP_NUM_THREADS": str(job.threads or max(1, job.cores(host) // len(on_host))),
        "GLIBC_TUNABLES": launch.tunables(given.get("GLIBC_TUNABLES", "")),
        "R1KIT_RUN": str(job.folder),
    }


# ---- watching -------------------------------------------------------------------------------------------------------


def _watch(cluster: Cluster, job: Job, placed: Sequence[Placed]) -> None:
    """Until all ranks are done, or one is not well. A signal is handed on to them, once."""
    settings = job.settings
    patience, told, growing, look_at = 0.0, False, False, time.monotonic() + settings.heartbeat
    ranks = [each for each in placed if each.slot.kind == RANK]
    while True:
        for each in placed:
            each.hear(job.tell, HEAR_SECONDS)
        now = time.monotonic()
        if now - cluster.answered > settings.lost_after:
            raise _head_lost(cluster, now - cluster.answered)
        if silent := [each for each in ranks if each.is_silent(settings.lost_after)]:
            raise _lost(cluster, job, placed, silent)
        codes = [each.code for each in ranks]
        if all(code == 0 for code in codes):
            return
        if not told and (interrupts.asked() or growing):
            told = True
            for each in ranks:
                each.signal(signal.SIGTERM)
        if not told and len(ranks) < job.ranks and now > look_at:
            look_at, growing = now + settings.heartbeat, _can_grow(cluster, job, ranks)
        failed = [code for code in codes if code]
        if failed and not patience:
            patience = now + _patience(failed, settings, told)
        if failed and (_explained(failed, told) or all(code is not None for code in codes) or now > patience):
            if growing and not interrupts.asked() and all(code in (0, Interrupted.exit_code) for code in codes):
                raise _More
            raise launch.cause([_ended(job, each) for each in ranks if each.code is not None], stopping=told)
        time.sleep(0.05)


def _patience(failed: Sequence[int], settings: Settings, told: bool) -> float:
    """Seconds to wait for the cause once a rank has ended: that its peers are gone may come from a host's loss, which
    is known later."""
    if told or Interrupted.exit_code in failed:
        return launch.GRACE_SECONDS
    if all(code == PeerLostError.exit_code for code in failed):
        return settings.lost_after + launch.SETTLE_SECONDS
    return launch.SETTLE_SECONDS


def _explained(failed: Sequence[int], told: bool) -> bool:
    """Whether a rank ended for a reason of its own. One that was killed may have gone down with its host."""
    polite = (Interrupted.exit_code, -signal.SIGTERM) if told else (Interrupted.exit_code,)
    return any(code not in (PeerLostError.exit_code, -signal.SIGKILL, *polite) for code in failed)


def _ended(job: Job, placed: Placed) -> launch.Ended:
    return launch.Ended(rank=placed.slot.index, code=placed.code or 0, name=job.full_name(placed), **placed.words)


def _can_grow(cluster: Cluster, job: Job, ranks: Sequence[Placed]) -> bool:
    """Whether more ranks would fit, were these given back."""
    held = Counter(each.slot.host.id for each in ranks)
    needs = job.settings.rank_needs
    first = cluster.here if job.settings.first_rank == "driver" else ""
    hosts = [
        replace(
            host,
            cpus=host.cpus + held[host.id] * needs.cpus,
            gpus=host.gpus + held[host.id] * needs.gpus,
            memory_gb=host.memory_gb + held[host.id] * needs.memory_gb,
        )
        for host in cluster.hosts()
    ]
    for more in range(job.ranks, len(ranks), -1):
        if more == job.ranks or job.divides(more):
            try:
                plan(hosts, replace(job.settings, engines=0, verifiers=0), more, first)
                return True
            except MissingError:
                continue
    return False


def _lost(cluster: Cluster, job: Job, placed: Sequence[Placed], silent: Sequence[Placed]) -> Lost:
    """What is told of it. A host that does not answer at all is given up until it joins anew."""
    hosts = {each.slot.host.id: each.slot.host for each in silent}
    mute = {each.slot.host.id for each in silent if not each.gone}
    for host in hosts.values():
        if host.id in mute or not cluster.lives(host, job.settings.lost_after):
            cluster.given_up[host.id] = time.monotonic()
    down = [job.called(host) for host in hosts.values() if host.id in cluster.given_up]
    names = ", ".join(each.name for each in placed if each.slot.host.id in hosts)
    waited = max(time.monotonic() - each.answered for each in silent)
    if down:
        return Lost(f"host {', '.join(down)} was lost with {names} (no sign of life for {waited:.0f} s)")
    where = ", ".join(job.called(host) for host in hosts.values())
    return Lost(
        f"{', '.join(each.name for each in silent)} @ {where} was lost: {silent[0].gone or 'it does not answer'}"
    )


def _head_lost(cluster: Cluster, seconds: float) -> RankError:
    return RankError(
        f"the head of the Ray cluster at {cluster.address} was lost (no answer for {seconds:.0f} s), and the run was "
        "ended; start the cluster again and run the same command to go on"
    )
