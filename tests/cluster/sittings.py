"""A shortened run on the hosts of ``hosts.py``, and what it says as it ends."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kill_resume import lines

from cluster.hosts import Host

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
"""Two stages, a second or two each but for the start of the processes."""
CHANGES = [part for setting in SETTINGS for part in ("--set", setting)]
COMMAND = ["-m", "r1kit", "run", "nano-zero", *CHANGES]
GO_ON = "; run the same command to go on"


class Sitting:
    """One command on each of some hosts."""

    def __init__(self, hosts: Sequence[Host], commands: Sequence[Sequence[str]], logs: Sequence[Path]) -> None:
        self.logs = logs
        self.processes = [host.start(command, log) for host, command, log in zip(hosts, commands, logs, strict=True)]

    def ended(self, index: int, seconds: float) -> tuple[int, list[str]]:
        """A host's exit code, and what r1 said as it ended."""
        return self.processes[index].wait(seconds), self.said(index)

    def said(self, index: int) -> list[str]:
        return re.findall(r"^r1: .*", self.logs[index].read_text(), re.MULTILINE)

    def reaches(self, log: Path, count: int) -> None:
        """Wait until a log of the run has so many lines."""
        self.until(lambda: lines(log) >= count)

    def until(self, true: Callable[[], bool], seconds: float = 300) -> None:
        """Wait for something, for as long as all go on."""
        deadline = time.monotonic() + seconds
        while not true():
            assert all(process.poll() is None for process in self.processes), [log.read_text() for log in self.logs]
            assert time.monotonic() < deadline
            time.sleep(0.02)


def under_torchrun(hosts: Sequence[Host], run: Path, name: str, *more: str) -> Sitting:
    """A rank on each host. ``name`` tells this sitting from others."""
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{hosts[0].name}:29500", "--rdzv-id", name]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(hosts)), "--nproc-per-node", "1"]
    command = [*torchrun, *meet, *COMMAND, "--out", str(run), *more]
    return Sitting(hosts, [command] * len(hosts), [run.parent / f"{name}-{host.name}.log" for host in hosts])


def straight(run: Path, *more: str) -> None:
    """The same run on this machine, two ranks, without a fault."""
    command = [sys.executable, *COMMAND, "--out", str(run), "--ranks", "2", *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
