"""Cores of this machine, and how ranks share them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from r1kit.cluster.ranks import Ranks

__all__ = ["cores", "cores_left", "gpus_here", "ranks_here", "threads_asked"]


def cores() -> int:
    """Cores this process may use: its affinity, and a container's quota."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        share, period = quota.read_text(encoding="utf-8").split()
        if share != "max":
            allowed = min(allowed, max(1, round(int(share) / int(period))))
    return allowed


def cores_left(ranks: Ranks) -> int:
    """Cores that a rank has for its helpers, its own not counted: ranks of a host share them; at least 1."""
    return max(1, cores() // ranks_here(ranks) - 1)


def ranks_here(ranks: Ranks) -> int:
    """How many of the ranks are on this host."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", ranks.size))


def threads_asked() -> int:
    """Threads a rank, as the user's environment says; 0: it does not."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else 0


def gpus_here() -> int:
    """Visible GPUs, without importing torch unless the driver is there."""
    if not Path("/proc/driver/nvidia").exists() and not Path("/dev/nvidiactl").exists():
        return 0
    import torch

    return torch.cuda.device_count()
