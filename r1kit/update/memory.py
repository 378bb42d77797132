"""Memory: freed blocks kept in the process, as in a training loop every buffer comes back a moment later; and how much.

glibc hands large blocks back to the kernel when they are freed, and each first touch of a page afterwards costs a fault
(microseconds under virtualisation); an update then spends a third or more of its time in the kernel.
"""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["bytes_of", "keep_freed_memory", "peak_bytes"]

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
INT_MAX = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc's malloc, for this whole process, to serve large blocks from its heap and never to shrink it.

    Resident memory then stays at its peak. Returns False, and does nothing, without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, INT_MAX), mallopt(M_TOP_PAD, 1 << 26)])


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes that tensors take; memory that several are views of counts once."""
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
    return sum(storages.values())


def peak_bytes(device: torch.device | None = None) -> int:
    """The most that was allocated on a GPU; on a CPU the most that this process ever held. 0 where nothing tells."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.is_file() else None
    return int(found[1]) * 1024 if found else 0
