"""A Ray cluster, as the run sees it: hosts with what is free on them, and places that are reserved there.

One of the few files that know Ray; nothing imports them before ``--cluster`` is given. Ray places processes and starts
their keepers (``host``); what the processes send each other goes other ways, and nothing lies in its object store.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from r1kit.cluster.placement import Host, Slot, is_rank
from r1kit.cluster.ray import host as ray_host
from r1kit.errors import MissingError, R1Error, first_line

__all__ = ["PLACE_SECONDS", "Cluster", "Lost", "Reserved"]

PLACE_SECONDS = 120.0
"""How long a placement group and its keepers may take, once what they need is known to be free."""
FORGIVE_SECONDS = 90.0
"""A host that was given up and that Ray still has after this long has come back: Ray drops those that are gone."""
LEAVE_SECONDS = 5.0
"""How long giving back may take; what is not given back then falls to Ray when this process ends."""
GIGABYTE = 10**9


class Lost(R1Error):
    """A host, or what ran there, gave no sign of life for too long."""


@dataclass(slots=True)
class Reserved:
    """A process's place, reserved, and its keeper there."""

    slot: Slot
    group: Any
    keeper: Any
    asked: Any
    """The keeper's answer to ``stand``, on its way."""
    stands: dict[str, Any] = field(default_factory=dict)
    """What it said."""


class Cluster:
    """A cluster that was joined."""

    def __init__(self, address: str) -> None:
        import ray
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(ray_host)
        self.ray = ray
        self.address = address or "this machine"
        self.alone = not address
        """Whether it was started for this run and ends with it."""
        self.here: str = ray.get_runtime_context().get_node_id()
        self.given_up: dict[str, float] = {}
        """Hosts that the run has lost, though Ray may not know yet: id -> when."""
        self.answered = time.monotonic()
        """When the head last did."""
        self.headless = False
        """Whether the head was lost: nothing may be asked of Ray then, since some of its calls stop all threads."""
        self.vet: Callable[[Host], Any] | None = None
        """Looks at a host that has joined before anything is placed there; raises R1Error if it will not do."""
        self.said: dict[str, Any] = {}
        """Host id -> what it said of itself, of those that will do."""
        self.refused: list[str] = []
        """Why hosts will not do, for the user."""
        self._vetting: set[str] = set()
        self.counting = False
        """Whether what is free is of interest just now: asking for it stops all threads until the head answers."""
        self.counted = 0.0
        """When it was last asked for."""
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        self._nodes: list[dict[str, Any]] = ray.nodes()
        self._free: dict[str, dict[str, float]] = {}
        self._looking = threading.Event()

    # ---- its hosts --------------------------------------------------------------------------------------------------

    def look(self, seconds: float, vet: Callable[[Host], Any]) -> None:
        """Ask the head for the hosts every so many seconds from now on, beside all else: it may not answer.

        Args:
            vet: looks at those that join from now on, see there.
        """
        self.vet = vet
        self._vetting = set(self.said)
        self._looking.set()
        threading.Thread(target=self._look, args=(seconds,), daemon=True).start()

    def _look(self, seconds: float) -> None:
        while self._looking.is_set():
            with suppress(Exception):
                self._nodes = self.ray.nodes()
                self.answered = time.monotonic()
                if self.counting and self.reaches_head():
                    self._ask()
                for host in self._up():
                    if host.id not in self._vetting and (host.cpus or host.gpus):
                        self._vetting.add(host.id)
                        threading.Thread(target=self._look_at, args=(host,), daemon=True).start()
            time.sleep(seconds)

    def _look_at(self, host: Host) -> None:
        assert self.vet is not None
        try:
            self.said[host.id] = self.vet(host)
        except R1Error as error:
            self.refused.append(str(error))

    def _ask(self) -> None:
        from ray._private.state import available_resources_per_node

        self._nodes, self._free = self.ray.nodes(), available_resources_per_node()
        self.answered = self.counted = time.monotonic()

    def reaches_head(self) -> bool:
        """Whether something listens there, which is known at once."""
        try:
            socket.create_connection(self._head, timeout=2).close()
        except OSError:
            return False
        return True

    def hosts(self, fresh: bool = False) -> list[Host]:
        """The hosts that are up and not given up, with what is free on them.

        Raises:
            Lost: the head does not answer.
        """
        if fresh or not self._free:
            try:
                self._ask()
            except Exception as error:
                raise Lost(f"the head of the Ray cluster at {self.address} was lost ({first_line(error)})") from None
        return [host for host in self._up() if self.vet is None or host.id in self.said]

    def _up(self) -> list[Host]:
        now = time.monotonic()
        return [
            Host(
                id=node["NodeID"],
                address=node["NodeManagerAddress"],
                cpus=free.get("CPU", 0.0),
                gpus=free.get("GPU", 0.0),
                memory_gb=free.get("memory", 0.0) / GIGABYTE,
            )
            for node in self._nodes
            if node["Alive"]
            and (free := self._free.get(node["NodeID"])) is not None
            and now - self.given_up.get(node["NodeID"], -FORGIVE_SECONDS) >= FORGIVE_SECONDS
        ]

    def lives(self, host: Host, seconds: float) -> bool:
        """Whether a host still does what it is told, whatever became of one process there."""
        if not any(node["NodeID"] == host.id and node["Alive"] for node in self._nodes):
            return False
        try:
            self.ask([host], ray_host.interface_of, lambda host: [host.address], seconds)
        except MissingError:
            return False
        return True

    def ask(
        self, hosts: Iterable[Host], function: Callable[..., Any], arguments: Callable[[Host], Sequence[Any]],
        seconds: float,
    ) -> dict[str, Any]:  # fmt: skip
        """Call a function of ``host`` on every host at once; host id -> what it returned.

        Raises:
            MissingError: one did not answer in time, or failed.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self.ray.remote(num_cpus=0, max_retries=0)(function)
        asked = [
            (host, task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=host.id, soft=False)).remote(
                *arguments(host)
            ))
            for host in hosts
        ]  # fmt: skip
        deadline, found = time.monotonic() + seconds, {}
        for host, reference in asked:
            try:
                found[host.id] = self.ray.get(reference, timeout=max(0.0, deadline - time.monotonic()))
            except self.ray.exceptions.GetTimeoutError:
                raise MissingError(f"host {host.address} did not answer within {seconds:.0f} s") from None
            except Exception as error:
                raise MissingError(f"host {host.address}: {first_line(error)}") from None
        return found

    # ---- places on them ---------------------------------------------------------------------------------------------

    def reserve(self, slots: Sequence[Slot], lease: float) -> list[Reserved]:
        """Ask for what processes need, and for a keeper in each place: one placement group for the ranks of a host, one
        for every helper. Waits for nothing.

        Args:
            lease: seconds after which a keeper that nobody asks ends its process and itself.
        """
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        together: dict[str, list[Slot]] = {}
        for slot in slots:
            together.setdefault(slot.host.id if is_rank(slot.job) else slot.job.name, []).append(slot)
        keepers = self.ray.remote(max_restarts=0, max_task_retries=0)(ray_host.Keeper)
        made: dict[str, Reserved] = {}
        for members in together.values():
            group = placement_group(
                [_bundle(slot) for slot in members],
                strategy="STRICT_PACK",
                bundle_label_selector=[{"ray.io/node-id": slot.host.id} for slot in members],
            )
            for index, slot in enumerate(members):
                place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
                options = {"num_cpus": slot.needs.cpus, "num_gpus": slot.needs.gpus, "scheduling_strategy": place}
                keeper = keepers.options(**options).remote(lease)
                made[slot.job.name] = Reserved(slot, group, keeper, keeper.stand.remote(slot.host.address))
        return [made[slot.job.name] for slot in slots]

    def settle(self, made: Sequence[Reserved]) -> None:
        """Wait until every keeper stands.

        Raises:
            Lost: what was free a moment ago cannot be had now.
        """
        deadline = time.monotonic() + PLACE_SECONDS
        for each in made:
            try:
                each.stands = self.ray.get(each.asked, timeout=max(0.0, deadline - time.monotonic()))
            except Exception as error:
                self.release(made)
                what = f"{each.slot.job.name} found no place on host {each.slot.host.address}"
                raise Lost(f"{what}: {first_line(error)}") from None

    def release(self, made: Iterable[Reserved]) -> None:
        """End keepers, and with them their processes, and give back what was reserved; a head that does not answer is
        not waited for."""
        from ray.util.placement_group import remove_placement_group

        made = list(made)

        def give_back() -> None:
            for each in made:
                with suppress(Exception):
                    self.ray.kill(each.keeper)
            for group in {each.group.id: each.group for each in made}.values():
                with suppress(Exception):
                    remove_placement_group(group)

        self._briefly(give_back)

    def leave(self) -> None:
        """The same holds here."""
        self._looking.clear()
        self._briefly(self.ray.shutdown)

    def _briefly(self, work: Callable[[], None]) -> None:
        if self.headless or not self.reaches_head():
            return
        working = threading.Thread(target=work, daemon=True)
        working.start()
        working.join(LEAVE_SECONDS)


def _bundle(slot: Slot) -> dict[str, float]:
    """What is reserved for a slot. One that needs nothing takes next to nothing of what every host has beside cores,
    which others may have taken whole."""
    wanted = {"CPU": slot.needs.cpus, "GPU": slot.needs.gpus, "memory": slot.needs.memory_gb * GIGABYTE}
    return {name: amount for name, amount in wanted.items() if amount} or {f"node:{slot.host.address}": 0.001}
