"""``srun`` and ``scontrol`` of a SLURM job whose nodes are the hosts of ``hosts.py``, as far as deploy/ uses them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from cluster.hosts import Host

NODES = "FAKE_NODES"


def install(folder: Path, hosts: list[Host]) -> dict[str, str]:
    """Put both programs into a folder; the environment of a batch script that finds them."""
    folder.mkdir()
    for name in ("srun", "scontrol"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        path.chmod(0o755)
    tests = str(Path(__file__).parent.parent)
    python = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH", str(Path(tests).parent))]))
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": python,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "SLURM_JOB_ID": "7",
        "SLURM_NNODES": str(len(hosts)),
        "SLURM_JOB_NODELIST": ",".join(host.name for host in hosts),
        NODES: json.dumps({host.name: host.inside.pid for host in hosts if host.inside}),
    }


def srun(arguments: list[str]) -> int:
    """One process a node; the worst exit code. What ends badly ends the others where that was asked for."""
    nodes: dict[str, int] = json.loads(os.environ[NODES])
    options: dict[str, str] = {}
    while arguments and arguments[0].startswith("--"):
        key, _, value = arguments.pop(0).partition("=")
        options[key] = value
    chosen = [name for name in nodes if name in options.get("--nodelist", name) and name != options.get("--exclude")]
    chosen = chosen[: int(options.get("--nodes") or len(chosen))]
    started = [
        subprocess.Popen(["nsenter", "-t", str(nodes[name]), "-n", "-m", "-u", "-i", "-p", "--", *arguments])
        for name in chosen
    ]

    def end(*_: object) -> None:
        for process in started:
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    codes = [process.wait() for process in started]
    return max(abs(code) for code in codes)


if __name__ == "__main__":
    if sys.argv[1] == "scontrol":  # show hostnames LIST
        print(*sys.argv[-1].split(","), sep="\n")
    else:
        sys.exit(srun(sys.argv[2:]))
