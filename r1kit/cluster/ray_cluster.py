"""A Ray cluster, as the run sees it: hosts with what is free on them, reserved places, a keeper for each process.

One of the few files that know Ray; nothing imports them before ``--cluster`` is given. Ray places processes and starts
their keepers (``ray_host``); how they are, what they say and what they send each other goes other ways.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from r1kit.cluster import ray_host
from r1kit.cluster.placement import Host, Slot
from r1kit.errors import MissingError, R1Error, first_line

__all__ = ["Cluster", "Lost", "Placed"]

PLACE_SECONDS = 60.0
"""How long a placement group and its keepers may take, once what they need is known to be free."""
FORGIVE_SECONDS = 90.0
"""A host that was given up and that Ray still has after this long has come back: Ray drops those that are gone."""
GIGABYTE = 10**9


class Lost(R1Error):
    """A host, or the cluster's head, gave no sign of life for too long."""


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
        self._nodes: list[dict[str, Any]] = ray.nodes()
        self._free: dict[str, dict[str, float]] = {}
        self._looking = threading.Event()

    def look(self, seconds: float) -> None:
        """Ask the head for the hosts every so many seconds from now on, beside all else: it may not answer."""
        if not self._looking.is_set():
            self._looking.set()
            threading.Thread(target=self._look, args=(seconds,), daemon=True).start()

    def _look(self, seconds: float) -> None:
        while self._looking.is_set():
            with suppress(Exception):
                self._ask()
            time.sleep(seconds)

    def _ask(self) -> None:
        from ray._private.state import available_resources_per_node

        self._nodes, self._free = self.ray.nodes(), available_resources_per_node()
        self.answered = time.monotonic()

    def hosts(self, fresh: bool = False) -> list[Host]:
        """The hosts that are up and not given up, with what is free on them."""
        if fresh or not self._free:
            self._ask()
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
            if node["Alive"] and now - self.given_up.get(node["NodeID"], -FORGIVE_SECONDS) >= FORGIVE_SECONDS
            and (free := self._free.get(node["NodeID"])) is not None
        ]  # fmt: skip

    def ask(
        self, hosts: Iterable[Host], function: Callable[..., Any], arguments: Callable[[Host], Sequence[Any]],
        seconds: float,
    ) -> dict[str, Any]:  # fmt: skip
        """Call a function of ``ray_host`` on every host at once; host id -> what it returned.

        Raises:
            MissingError: one did not answer in time, or failed.
        """
        task = self.ray.remote(num_cpus=0, max_retries=0)(function)
        asked = {
            host.id: (host, task.options(scheduling_strategy=self._on(host.id)).remote(*arguments(host)))
            for host in hosts
        }
        deadline, found = time.monotonic() + seconds, {}
        for id_, (host, reference) in asked.items():
            try:
                found[id_] = self.ray.get(reference, timeout=max(0.0, deadline - time.monotonic()))
            except self.ray.exceptions.GetTimeoutError:
                raise MissingError(f"host {host.address} did not answer within {seconds:.0f} s") from None
            except Exception as error:
                raise MissingError(f"host {host.address}: {first_line(error)}") from None
        return found

    def lives(self, host: Host, seconds: float) -> bool:
        """Whether a host still does what it is told, whatever became of one process there."""
        if not any(node["NodeID"] == host.id and node["Alive"] for node in self._nodes):
            return False
        try:
            self.ask([host], ray_host.interface_of, lambda host: [host.address], seconds)
        except MissingError:
            return False
        return True

    def _on(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node_id=node, soft=False)

    def place(self, slots: Sequence[Slot], lease: float) -> list[Placed]:
        """Reserve what processes need, one placement group a host, and start a keeper in each place.

        A process that shares another's devices has its place in the same bundle.

        Raises:
            Lost: it was free a moment ago and cannot be had now.
        """
        groups: dict[str, list[Slot]] = {}
        for slot in slots:
            groups.setdefault(slot.host.id, []).append(slot)
        placed: list[Placed] = []
        try:
            for node, members in groups.items():
                placed += self._group(node, members, lease)
            self._settle(placed)
        except BaseException:
            self.release(placed)
            raise
        return placed

    def _group(self, node: str, members: Sequence[Slot], lease: float) -> list[Placed]:
        from ray.util.placement_group import placement_group, remove_placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        group = placement_group(
            [_bundle(slot) for slot in members],
            strategy="STRICT_PACK",
            bundle_label_selector=[{"ray.io/node-id": node}] * len(members),
        )
        if not group.wait(PLACE_SECONDS):
            remove_placement_group(group)
            raise Lost(f"host {members[0].host.address} has no room any more for {', '.join(s.name for s in members)}")
        keeper = self.ray.remote(max_restarts=0, max_task_retries=0)(ray_host.Keeper)
        return [
            Placed(self, slot, group, keeper.options(
                num_cpus=slot.needs.cpus,
                num_gpus=slot.needs.gpus,
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index),
            ).remote(lease))
            for index, slot in enumerate(members)
        ]  # fmt: skip

    def _settle(self, placed: Sequence[Placed]) -> None:
        """Until every keeper stands."""
        deadline = time.monotonic() + PLACE_SECONDS
        for each in placed:
            reference = each.keeper.stand.remote(each.slot.host.address)
            try:
                each.stands = self.ray.get(reference, timeout=max(0.0, deadline - time.monotonic()))
            except Exception as error:
                raise Lost(f"{each.name} could not be placed: {first_line(error)}") from None

    def release(self, placed: Iterable[Placed]) -> None:
        """End processes and keepers, and give back what was reserved. A host that is gone is not waited for."""
        from ray.util.placement_group import remove_placement_group

        placed = list(placed)
        for each in placed:
            with suppress(Exception):
                each.keeper.end.remote()
        for each in placed:
            with suppress(Exception):
                self.ray.kill(each.keeper)
        for group in {each.group.id: each.group for each in placed}.values():
            with suppress(Exception):
                remove_placement_group(group)

    def leave(self) -> None:
        """Without waiting for a head that does not answer."""
        self._looking.clear()
        leaving = threading.Thread(target=self.ray.shutdown, daemon=True)
        leaving.start()
        leaving.join(10)


def _bundle(slot: Slot) -> dict[str, float]:
    wanted = {"CPU": slot.needs.cpus, "GPU": slot.needs.gpus, "memory": slot.needs.memory_gb * GIGABYTE}
    return {name: amount for name, amount in wanted.items() if amount} or {"CPU": 0.001}


class Placed:
    """A process's place on a host: its keeper, and what is known of the process."""

    def __init__(self, cluster: Cluster, slot: Slot, group: Any, keeper: Any) -> None:
        self.cluster, self.slot, self.group, self.keeper = cluster, slot, group, keeper
        self.stands: dict[str, Any] = {}
        self.answered = time.monotonic()
        """When its keeper last did."""
        self.code: int | None = None
        self.words: dict[str, Any] = {}
        self.gone = ""
        """Why it can be asked no more; empty: it can."""
        self._asked: Any = None
        self._asked_at = 0.0

    @property
    def name(self) -> str:
        return self.slot.name

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing more can be expected of it."""
        return self.code is None and (bool(self.gone) or time.monotonic() - self.answered > seconds)

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: str, guard: str = "") -> Any:
        return self.keeper.start.remote(list(command), dict(environment), folder, guard)

    def signal(self, number: int) -> None:
        with suppress(Exception):
            self.keeper.signal.remote(number)

    def hear(self, tell: Callable[[Placed, str, str], None], every: float) -> None:
        """Take in what its keeper has answered, and ask again. Never waits."""
        ray = self.cluster.ray
        if self.gone or self.code is not None:
            return
        if self._asked is None:
            if time.monotonic() - self._asked_at >= every:
                self._asked, self._asked_at = self.keeper.poll.remote(), time.monotonic()
            return
        if not ray.wait([self._asked], timeout=0)[0]:
            return
        asked, self._asked = self._asked, None
        try:
            said = ray.get(asked)
        except ray.exceptions.ActorUnavailableError:
            return  # it may come back; ``answered`` says for how long it has not
        except ray.exceptions.RayActorError:
            self.gone = "its keeper died"
            return
        self.answered = time.monotonic()
        for stream, line in said["lines"]:
            tell(self, stream, line)
        self.code, self.words = said["code"], said["words"]
