"""Memory and process limits by control groups (version 2), where this process may make one; rlimits hold everywhere."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

__all__ = ["create", "remove"]

MOUNT = Path("/sys/fs/cgroup")
MEMORY_BYTES = 1 << 30
"""Of one worker: a program, its files in ``/tmp`` and the kernel's own memory for it."""
PROCESSES = 256
_numbers = itertools.count()


def create(mount: Path = MOUNT, own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """A group for one worker beside or below this process's own; None where that is not allowed."""
    for parent in _parents(mount, own):
        with contextlib.suppress(OSError):
            if {"memory", "pids"} <= set((parent / "cgroup.subtree_control").read_text(encoding="utf-8").split()):
                group = parent / f"r1-sandbox-{os.getpid()}-{next(_numbers)}"
                group.mkdir()
                return _limited(group)
    return None


def _parents(mount: Path, own: Path) -> list[Path]:
    """Groups that may be allowed to have children: a group with limits for children has no process of its own."""
    with contextlib.suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            if line.startswith("0::/"):
                here = mount / line[4:]
                return [folder for folder in (here, here.parent) if folder == mount or mount in folder.parents]
    return []


def _limited(group: Path) -> Path | None:
    try:
        (group / "memory.max").write_text(str(MEMORY_BYTES), encoding="utf-8")
        (group / "pids.max").write_text(str(PROCESSES), encoding="utf-8")
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            (group / "memory.swap.max").write_text("0", encoding="utf-8")
    except OSError:
        remove(group)
        return None
    return group


def remove(group: Path) -> None:
    """Take an empty group away."""
    with contextlib.suppress(OSError):
        group.rmdir()
