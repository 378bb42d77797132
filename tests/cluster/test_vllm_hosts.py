"""Servers of vLLM's kind on hosts of their own: weights reach them, and a host that is gone is named in seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster.hosts import ON_HOSTS, Host, Network

pytestmark = ON_HOSTS

TESTS = Path(__file__).resolve().parents[1]
PATH = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]), "OMP_NUM_THREADS": "1"}


def serve(host: Host, slow: float) -> str:
    """A server on the host, which takes some time over each prompt; its address."""
    host.start(
        [sys.executable, str(TESTS / "rollout" / "fake_vllm.py"), "8000", str(slow), host.address],
        environment={**os.environ, **PATH},
        log=host.network.folder / f"{host.name}.log",
    )
    return f"http://{host.address}:8000"


def test_a_host_that_is_gone_is_named_and_its_prompts_are_drawn_elsewhere() -> None:
    """The link of one is cut, then healed; then its power goes, and it is switched on again."""
    with Network() as network:
        learner, near, far = network.add("learner"), network.add("near"), network.add("far")
        addresses = [serve(near, 0.2), serve(far, 0.2)]
        until_up(near), until_up(far)
        log = network.folder / "learner.log"
        command = [sys.executable, str(TESTS / "cluster" / "sampling.py"), *addresses]
        # What ranks of one host are told of gloo must not keep it from other hosts.
        learner.start(command, environment={**os.environ, **PATH, "GLOO_SOCKET_IFNAME": "lo"}, log=log)
        until(lambda: "round 2: 6 groups" in log.read_text(), log)
        for gone, back in ((far.cut, far.heal), (far.kill, lambda: (far.boot(), serve(far, 0.2)))):
            before = len(log.read_text())
            gone()
            until(lambda: f"{addresses[1]} is lost: " in log.read_text()[before:], log)  # noqa: B023
            known = len(log.read_text())
            until(lambda: log.read_text()[known:].count(": 6 groups") >= 2, log)  # noqa: B023
            back()
            until(lambda: f"{addresses[1]} is back" in log.read_text()[known:], log)  # noqa: B023


def until_up(host: Host) -> None:
    log = host.network.folder / f"{host.name}.log"
    until(lambda: log.is_file() and "8000" in log.read_text(), log)


def until(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 90
    while not true():
        assert time.monotonic() < deadline, log.read_text() if log.is_file() else log
        time.sleep(0.05)
