"""What ``dtype = "auto"`` means on this machine, told without torch where the processor's own list says enough."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["WITHOUT_BF16", "auto_dtype"]

MULTIPLY = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags of instructions that multiply bfloat16 matrices, as Linux names them on x86 and Arm."""
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ``ONEDNN_MAX_CPU_ISA`` that keep oneDNN from bfloat16 instructions."""


def auto_dtype(device: str) -> str:
    """``bfloat16`` or ``float32``, as ``arithmetic.auto`` says of a recipe's device; empty: only torch can tell."""
    listed = Path("/proc/cpuinfo")
    gpu = device != "cpu" and (device == "cuda" or any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists())
    if gpu or sys.platform != "linux" or not listed.is_file():
        return ""
    flags = set(listed.read_text(encoding="utf-8", errors="replace").split())
    limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BF16
    return "bfloat16" if MULTIPLY & flags and not limited else "float32"
