"""What ``dtype = "auto"`` means on this machine, told without torch where the processor's own list says enough."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Literal

__all__ = ["WITHOUT_BF16", "auto_dtype", "fast_bf16", "maker"]

MULTIPLY = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags of instructions that multiply bfloat16 matrices, as Linux names them on x86 and Arm."""
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ``ONEDNN_MAX_CPU_ISA`` that keep oneDNN from bfloat16 instructions."""

_LISTED = Path("/proc/cpuinfo")


def fast_bf16(instructions: Collection[str], made_by: str) -> bool:
    """Whether instructions of ``MULTIPLY`` beat float32's products on a processor of this maker.

    AMX and Arm's do, and AVX512_BF16 on AMD (2.3 times). On Intel AVX512_BF16 alone issues so seldom that float32 is
    1.8 times as fast (``docs/LOG.md``, Speed): processors of before AMX, and guests to which AMX is not shown.
    """
    found = MULTIPLY.intersection(instructions)
    return bool(found) and not (made_by == "GenuineIntel" and found == {"avx512_bf16"})


def maker() -> str:
    """Of the processor, as it names itself: ``GenuineIntel``, ``AuthenticAMD``; empty where it cannot be told."""
    listed = _LISTED.read_text(encoding="utf-8", errors="replace") if _LISTED.is_file() else platform.processor()
    return next((name for name in ("GenuineIntel", "AuthenticAMD") if name in listed), "")


def auto_dtype(device: str) -> Literal["bfloat16", "float32", ""]:
    """``bfloat16`` or ``float32``, as ``arithmetic.auto`` says of a recipe's device; empty: only torch can tell."""
    gpu = device != "cpu" and (device == "cuda" or any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists())
    if gpu or sys.platform != "linux" or not _LISTED.is_file():
        return ""
    flags = set(_LISTED.read_text(encoding="utf-8", errors="replace").split())
    limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BF16
    return "bfloat16" if fast_bf16(flags, maker()) and not limited else "float32"
