"""Which host gets which process, and what is said when there is no room: worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r1kit.cluster.launch import rank_jobs
from r1kit.cluster.placement import Host, plan, room_for
from r1kit.cluster.processes import Job
from r1kit.cluster.settings import Needs
from r1kit.errors import MissingError

HERE = Host(id="h", address="10.0.0.9", cpus=2)
NEAR = Host(id="n", address="10.0.0.10", cpus=4)
FAR = Host(id="f", address="10.0.0.2", cpus=1)


def ranks(count: int, needs: Needs | None = None) -> list[Job]:
    return [replace(job, needs=needs or Needs()) for job in rank_jobs(["run"], count, 1)]


def helper(kind: str, number: int, needs: Needs | None = None) -> Job:
    return Job(name=f"{kind} {number}", command=(), needs=needs or Needs())


def places(jobs: list[Job], *hosts: Host, first: str = "", share: bool = False) -> list[str]:
    return [slot.host.id for slot in plan(hosts, jobs, first, share_devices=share)]


def test_ranks_fill_the_first_host_then_the_others_by_address() -> None:
    assert places(ranks(7), NEAR, FAR, HERE, first="h") == ["h", "h", "f", "n", "n", "n", "n"]
    assert places(ranks(4), NEAR, FAR, HERE) == ["f", "h", "h", "n"]


def test_helpers_go_where_most_is_left() -> None:
    jobs = [*ranks(2), helper("engine", 0), helper("engine", 1), helper("verifier", 0)]
    assert places(jobs, NEAR, FAR, HERE, first="h") == ["h", "h", "n", "n", "n"]


def test_engines_that_share_devices_stand_with_their_rank_and_ask_for_no_gpu() -> None:
    gpus = Needs(cpus=1, gpus=1)
    hosts = [replace(HERE, gpus=1, cpus=2), replace(NEAR, gpus=1)]
    jobs = [*ranks(2, gpus), helper("engine", 0, gpus), helper("engine", 1, gpus)]
    slots = plan(hosts, jobs, "h", share_devices=True)
    assert [(slot.host.id, slot.owner, slot.needs.gpus) for slot in slots] == [
        ("h", "", 1), ("n", "", 1), ("h", "rank 0", 0), ("n", "rank 1", 0),
    ]  # fmt: skip
    with pytest.raises(MissingError, match="no room for 2 engines: asked for 2 ranks of 1 cpu"):
        plan(hosts, jobs, "h")


def test_memory_counts() -> None:
    hosts = [replace(HERE, memory_gb=3), replace(NEAR, memory_gb=10)]
    assert places(ranks(2, Needs(memory_gb=4)), *hosts) == ["n", "n"]


def test_what_is_missing_is_said_with_what_was_asked_and_what_is_there() -> None:
    with pytest.raises(MissingError) as caught:
        plan([HERE, FAR], [*ranks(3, Needs(cpus=1, gpus=0)), helper("engine", 0, Needs(cpus=2, gpus=1))], "h")
    assert str(caught.value) == (
        "the cluster has no room for 1 engine: asked for 3 ranks of 1 cpu, 1 engine of 2 cpus + 1 gpu; free are "
        "10.0.0.9 2 cpus, 0 gpus, 0 GB; 10.0.0.2 1 cpus, 0 gpus, 0 GB; ask for less in [cluster] or --ranks, or add a "
        "host"
    )
    assert caught.value.exit_code == 3


def test_rank_0_stays_on_the_host_of_the_run_folder_unless_it_is_freed() -> None:
    full = replace(HERE, cpus=0)
    with pytest.raises(MissingError, match=r'1 rank \(rank 0 belongs on the host of r1 run.*first_rank = "any"'):
        plan([full, NEAR], ranks(2), "h")
    with pytest.raises(MissingError, match="rank 0 belongs"):
        plan([NEAR], ranks(1), "gone")
    assert places(ranks(2), full, NEAR) == ["n", "n"]


def test_nothing_is_there() -> None:
    with pytest.raises(MissingError, match="free are no hosts"):
        plan([], ranks(1))


@pytest.mark.parametrize(("most", "room"), [(100, 7), (3, 3), (0, 0)])
def test_room(most: int, room: int) -> None:
    assert room_for([HERE, NEAR, FAR], Needs(), most) == room
    assert room_for([HERE, NEAR, FAR], Needs(cpus=2), 100) == 3
