"""``r1 run`` under torchrun on two hosts: the numbers of one host; a host or a link that goes ends it in one line, and
the same command goes on with the same result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_resume import contents, differences, lines

from cluster.hosts import ON_HOSTS, Host, Network
from cluster.sittings import GO_ON, straight, under_torchrun

pytestmark = ON_HOSTS

MADE = tuple(f"{stage}/resume/{name}: " for stage, name in (
    ("01_pretrain", "learner-10/.metadata"), ("01_pretrain", "state.json"),
    ("02_r1_zero", "learner-4/.metadata"), ("02_r1_zero", "state.json"),
))  # fmt: skip
"""Torch writes a number drawn anew and the path of a shared state into its .metadata, and state.json has a checksum of
that; the shared weights themselves lie beside them."""


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    with Network() as network:
        yield [network.add("one"), network.add("two")]


def test_two_hosts_give_what_one_gives_whatever_happens_to_them(hosts: list[Host], tmp_path: Path) -> None:
    one, two = hosts
    run, steps = tmp_path / "run", tmp_path / "run/02_r1_zero/metrics.jsonl"
    silent = "r1: nothing was heard from {} for 4 s: the host or its network is down" + GO_ON

    sitting = under_torchrun(hosts, run, "killed")
    sitting.reaches(steps, 3)
    two.kill()
    assert sitting.ended(0, 60) == (1, [silent.format("two (rank 1)")])
    two.boot()

    sitting = under_torchrun(hosts, run, "ended")
    sitting.reaches(steps, 8)
    one.end_all()  # the first host's, and with them rank 0 and torchrun's store
    assert sitting.ended(1, 60) == (1, [f"r1: one (rank 0) ended without a word (killed, or out of memory){GO_ON}"])

    sitting = under_torchrun(hosts, run, "cut")
    sitting.reaches(steps, 12)
    two.cut()
    time.sleep(1)
    two.heal()  # in time: it goes on as if nothing had been
    sitting.reaches(steps, lines(steps) + 4)
    two.cut()
    assert sitting.ended(0, 60) == (1, [silent.format("two (rank 1)")])
    assert sitting.said(1) == [silent.format("one (rank 0)")]
    two.end_all()  # torchrun itself waits a minute for its store
    two.heal()

    sitting = under_torchrun(hosts, run, "last")
    assert [sitting.ended(index, 300) for index in range(2)] == [(0, []), (0, [])]
    straight(tmp_path / "straight")
    assert differences(contents(tmp_path / "straight"), contents(run)) == []


def test_a_sharded_learner_on_two_hosts_gives_what_it_gives_on_one(hosts: list[Host], tmp_path: Path) -> None:
    sharded = ("--set", "learner=fsdp", "--set", "r1_zero.steps=4")
    sitting = under_torchrun(hosts, tmp_path / "run", "sharded", *sharded)
    assert [sitting.ended(index, 300) for index in range(2)] == [(0, []), (0, [])]
    straight(tmp_path / "straight", *sharded)
    told = differences(contents(tmp_path / "straight"), contents(tmp_path / "run"))
    assert [line for line in told if not line.startswith(MADE)] == []


def test_what_rank_0_refuses_is_said_once(hosts: list[Host], tmp_path: Path) -> None:
    sitting = under_torchrun(hosts, tmp_path / "run", "wrong", "--set", "r1_zero.stepz=3")
    said = [sitting.ended(index, 60) for index in range(2)]
    assert [code for code, _ in said] == [1, 1]  # torchrun's own
    assert [len(told) for _, told in said] == [1, 0]
    assert "Did you mean 'steps'?" in said[0][1][0]
