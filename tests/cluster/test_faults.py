"""Hosts of a Ray cluster that are killed, added, cut off: every prompt dealt is accounted for once at the end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.hosts import ON_HOSTS, Network
from cluster.ray_hosts import RayHosts
from r1kit.report.read.prompts import audit

pytestmark = ON_HOSTS

LONG = ("--set", "r1_zero.steps=5000", "--set", "r1_zero.evaluate_every=5000", "--set", "cluster.lost_after=8.0",
        "--set", "r1_zero.record_groups=100", "--set", "cluster.restarts=9")  # fmt: skip


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def test_hosts_that_die_and_come_while_a_run_goes_on(network: Network, tmp_path: Path) -> None:
    one, two, three = (network.add(name) for name in ("one", "two", "three"))
    ray, out = RayHosts(one, tmp_path), tmp_path / "run"
    ray.wait_for(1)
    ray.join(two)
    ray.wait_for(2)
    run = ray.run(out, 2, *LONG)
    run.until(lambda: run.step >= 3)

    two.kill()  # with rank 1 on it: its prompts are dealt again
    run.until(lambda: "the ranks are started again from the last resume point" in run.said)
    run.goes_on()

    ray.join(three)  # and rank 1 is back
    run.until(lambda: "there is room for more ranks" in run.said)
    run.goes_on()

    three.cut()
    run.until(lambda: run.said.count("the ranks are started again from the last resume point") == 2)
    run.goes_on()
    three.kill()

    one.tell(run.process, signal.SIGINT)
    code, said = run.ended()
    assert code == 130, said
    assert audit(out / "02_r1_zero", completions=4) == []


def test_the_head_dies_and_the_same_command_goes_on(network: Network, tmp_path: Path) -> None:
    one = network.add("one")
    ray, out = RayHosts(one, tmp_path), tmp_path / "run"
    ray.wait_for(1)
    run = ray.run(out, 1, *LONG)
    run.until(lambda: run.step >= 3)
    heads = [pid for pid in one.processes() if "gcs_server" in Path(f"/proc/{pid}/comm").read_text()]
    assert heads
    for pid in heads:
        os.kill(pid, signal.SIGKILL)
    code, said = run.ended(120)
    assert code == 1
    assert len(said) == 1
    assert "head" in said[0]
    assert said[0].endswith("run the same command to go on")
    stood = run.step
    one.kill()
    one.boot()
    ray.start_head()
    ray.wait_for(1)
    run = ray.run(out, 1, *LONG)
    run.until(lambda: run.step >= stood + 3)
    one.tell(run.process, signal.SIGINT)
    assert run.ended()[0] == 130
    assert audit(out / "02_r1_zero", completions=4) == []


def test_hosts_of_engines_die_and_come_while_a_run_goes_on(network: Network, tmp_path: Path) -> None:
    one, two, three = (network.add(name) for name in ("one", "two", "three"))
    ray, out = RayHosts(one, tmp_path), tmp_path / "run"
    ray.wait_for(1)
    ray.join(two)
    ray.join(three)
    ray.wait_for(3)
    run = ray.run(out, 1, *LONG, "--set", "cluster.engines=2")
    run.until(lambda: run.step >= 3)

    two.kill()  # in the middle of a step: what it was asked is asked of the other
    run.until(lambda: "engine" in run.said)
    run.goes_on()

    three.cut()  # no engine is left for a moment
    time.sleep(2)
    three.heal()
    run.goes_on()

    four = network.add("four")
    ray.join(four)
    run.until(lambda: bool(four.running("r1kit.backends.serve")))
    run.goes_on()

    one.tell(run.process, signal.SIGINT)
    code, said = run.ended()
    assert code == 130, said
    assert audit(out / "02_r1_zero", completions=4) == []


HOG = """
import sys, time
open("/proc/self/oom_score_adj", "w").write("-1000")
held = []
while True:
    held.append(bytearray(b"1" * 4_000_000))
    time.sleep(0.02)
"""
"""Takes more and more; the kernel ends others of its host before it."""


def test_a_host_of_verifiers_runs_out_of_memory(network: Network, tmp_path: Path) -> None:
    one, two, three = (network.add(name) for name in ("one", "two", "three"))
    try:
        two.limit_memory(2500)
    except OSError as error:
        pytest.skip(f"memory cannot be limited here: {error}")
    ray, out = RayHosts(one, tmp_path), tmp_path / "run"
    ray.wait_for(1)
    ray.join(two)
    ray.join(three)
    ray.wait_for(3)
    run = ray.run(out, 1, *LONG, "--set", "cluster.verifiers=2")
    run.until(lambda: run.step >= 3)
    mine = two.running("verifier")
    assert mine

    hog = two.start([sys.executable, "-c", HOG])
    run.until(lambda: not set(mine) & set(two.running("verifier")))
    two.tell(hog, signal.SIGKILL)
    run.until(lambda: "verifier" in run.said and "lost" in run.said)
    run.goes_on()

    one.tell(run.process, signal.SIGINT)
    code, said = run.ended()
    assert code == 130, said
    assert audit(out / "02_r1_zero", completions=4) == []
