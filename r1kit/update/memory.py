"""Keep freed memory in the process: in a training loop every buffer comes back a moment later.

glibc hands large blocks back to the kernel when they are freed, and each first touch of a page afterwards costs a fault
(microseconds under virtualisation); an update then spends a third or more of its time in the kernel.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_freed_memory"]

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
