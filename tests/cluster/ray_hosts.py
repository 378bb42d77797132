"""A Ray cluster on the hosts of ``hosts.py``, and an r1 run on it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kill_resume import lines

from cluster.hosts import Host
from cluster.sittings import COMMAND

RAY = str(Path(sys.executable).with_name("ray"))
STORE = "--object-store-memory=80000000"


class RayHosts:
    """The first host holds the head; others join. Each has one core to give."""

    def __init__(self, head: Host, folder: Path) -> None:
        self.head, self.folder = head, folder
        self.address = f"{head.address}:6379"
        self.temporary = Path("/tmp") / f"r1-{secrets.token_hex(3)}"  # the paths of Ray's sockets have to be short
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTEST_CURRENT_TEST")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",  # the hosts share one machine's memory with whatever else runs on it
            "OMP_NUM_THREADS": "1",
        }
        self.start_head()

    def start_head(self) -> None:
        self._ray(self.head, "--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self.temporary}")

    def join(self, host: Host) -> None:
        self._ray(host, f"--address={self.address}")

    def _ray(self, host: Host, *options: str) -> None:
        command = [RAY, "start", "--block", f"--node-ip-address={host.address}", "--num-cpus=1", STORE, *options]
        # a start may miss the time that Ray gives itself, on a machine that has much to do
        command = ["sh", "-c", 'for try in 1 2 3; do "$@" && break; sleep 2; done', "sh", *command]
        host.start(command, self.folder / f"ray-{host.name}.log", self.environment)

    def run(self, out: Path, ranks: int, *more: str) -> Run:
        """The shortened run, from the head's host."""
        command = [sys.executable, *COMMAND, "--out", str(out), "--ranks", str(ranks), "--cluster", self.address, *more]
        log = out.parent / f"{out.name}-{time.monotonic_ns()}.log"
        return Run(self.head, self.head.start(command, log, self.environment), out, log)

    def wait_for(self, hosts: int) -> None:
        """Until so many have joined."""
        program = (
            "import ray, sys, time\n"
            "while True:\n"
            "    try:\n"
            "        ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')\n"
            "        break\n"
            "    except ConnectionError:\n"
            "        time.sleep(1)\n"
            "while sum(node['Alive'] for node in ray.nodes()) < int(sys.argv[2]): time.sleep(0.2)\n"
        )
        log = self.folder / "wait.log"
        process = self.head.start([sys.executable, "-c", program, self.address, str(hosts)], log, self.environment)
        assert process.wait(300) == 0, log.read_text()


class Run:
    """One sitting of a run."""

    def __init__(self, host: Host, process: subprocess.Popen[bytes], out: Path, log: Path) -> None:
        self.host, self.process, self.out, self.log = host, process, out, log

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def step(self) -> int:
        return lines(self.out / "02_r1_zero/metrics.jsonl")

    def until(self, true: Callable[[], bool], seconds: float = 300) -> None:
        """Wait for something while it goes on."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def goes_on(self, steps: int = 3) -> None:
        """Until so many more steps are done."""
        goal = self.step + steps
        self.until(lambda: self.step >= goal)

    def ended(self, seconds: float = 300) -> tuple[int, list[str]]:
        """Exit code and last line or lines."""
        code = self.process.wait(seconds)
        return code, [line for line in self.said.splitlines() if line.startswith("r1: ")]
