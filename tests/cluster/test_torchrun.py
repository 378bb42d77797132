"""``r1 run`` under torchrun on two hosts: the numbers of one host; a host or a link that goes ends it in one line, and
the same command goes on with the same result."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_resume import contents, differences, lines

from cluster.hosts import ON_HOSTS, Host, Network

pytestmark = ON_HOSTS

SETTINGS = [
    *(f"model.{key}" for key in ("hidden_size=32", "intermediate_size=64", "num_layers=1", "num_heads=2",
                                 "num_kv_heads=1")),
    "pretrain.steps=10", "pretrain.tokens_per_step=512", "pretrain.evaluation.k=2", "pretrain.evaluation.limit=4",
    "pretrain.sampling.max_tokens=24",
    "r1_zero.steps=40", "r1_zero.prompts_per_step=4", "r1_zero.sampling.n=4", "r1_zero.sampling.max_tokens=24",
    "r1_zero.evaluate_every=20", "r1_zero.evaluation.k=2", "r1_zero.evaluation.limit=4",
    "r1_zero.evaluation.resamples=20", "r1_zero.reward.format_partial=true",
    "cluster.heartbeat=1.0", "cluster.lost_after=4.0",
]  # fmt: skip
COMMAND = ["-m", "r1kit", "run", "nano-zero", *(part for setting in SETTINGS for part in ("--set", setting))]


class Sitting:
    """The same command on every host."""

    def __init__(self, hosts: list[Host], run: Path, name: str, *more: str) -> None:
        self.logs = [run.parent / f"{name}-{host.name}.log" for host in hosts]
        first = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(hosts)), "--nproc-per-node", "1"]
        first += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{hosts[0].name}:29500", "--rdzv-id", name]
        self.processes = [
            host.start([*first, *COMMAND, "--out", str(run), *more], log)
            for host, log in zip(hosts, self.logs, strict=True)
        ]

    def ended(self, index: int, seconds: float) -> tuple[int, list[str]]:
        """A host's exit code, and what r1 said as it ended."""
        return self.processes[index].wait(seconds), self.said(index)

    def said(self, index: int) -> list[str]:
        return re.findall(r"^r1: .*", self.logs[index].read_text(), re.MULTILINE)

    def reaches(self, path: Path, count: int) -> None:
        """Wait until a log has so many lines."""
        deadline = time.monotonic() + 300
        while lines(path) < count:
            assert all(process.poll() is None for process in self.processes), [log.read_text() for log in self.logs]
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    with Network() as network:
        yield [network.add("one"), network.add("two")]


def test_two_hosts_give_what_one_gives_whatever_happens_to_them(hosts: list[Host], tmp_path: Path) -> None:
    one, two = hosts
    run, straight = tmp_path / "run", tmp_path / "straight"
    steps = run / "02_r1_zero/metrics.jsonl"
    go_on = "; run the same command to go on"
    silent = "nothing was heard from {} for 4 s: the host or its network is down" + go_on

    sitting = Sitting(hosts, run, "killed")
    sitting.reaches(steps, 3)
    two.kill()
    assert sitting.ended(0, 60) == (1, ["r1: " + silent.format("two (rank 1)")])
    two.boot()

    sitting = Sitting(hosts, run, "ended")
    sitting.reaches(steps, 8)
    one.end_all()  # the first host's, and with them rank 0 and torchrun's store
    assert sitting.ended(1, 60) == (1, ["r1: one (rank 0) ended without a word (killed, or out of memory)" + go_on])

    sitting = Sitting(hosts, run, "cut")
    sitting.reaches(steps, 12)
    two.cut()
    time.sleep(1)
    two.heal()  # in time: it goes on as if nothing had been
    sitting.reaches(steps, lines(steps) + 4)
    two.cut()
    assert sitting.ended(0, 60) == (1, ["r1: " + silent.format("two (rank 1)")])
    assert sitting.said(1) == ["r1: " + silent.format("one (rank 0)")]
    two.end_all()  # torchrun itself waits a minute for its store
    two.heal()

    sitting = Sitting(hosts, run, "last")
    assert [sitting.ended(index, 300) for index in range(2)] == [(0, []), (0, [])]
    subprocess.run([sys.executable, *COMMAND, "--out", straight, "--ranks", "2"], check=True, stdout=subprocess.DEVNULL)
    assert differences(contents(straight), contents(run)) == []


def test_what_rank_0_refuses_is_said_once(hosts: list[Host], tmp_path: Path) -> None:
    sitting = Sitting(hosts, tmp_path / "run", "wrong", "--set", "r1_zero.stepz=3")
    said = [sitting.ended(index, 60) for index in range(2)]
    assert [code for code, _ in said] == [1, 1]  # torchrun's own
    assert [len(told) for _, told in said] == [1, 0]
    assert "Did you mean 'steps'?" in said[0][1][0]
