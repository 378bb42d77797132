"""In which arithmetic matrices are multiplied: the one place that decides what ``dtype = "auto"`` means.

bfloat16 where the device multiplies it in hardware and faster than float32, else float32: by capability and not by a
measurement, which would hang on what else runs. A processor without such instructions computes bfloat16 products by way
of float32, at a tenth of its speed or less.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from r1kit.backends.processor import WITHOUT_BF16, fast_bf16, maker
from r1kit.cluster.ranks import Ranks
from r1kit.files import write_atomic
from r1kit.update.settings import Dtype, DtypeSetting

__all__ = ["FILE", "Capability", "auto", "multiplies_bf16", "of_run", "resolve_dtype", "slowdown", "warn_if_slow"]

FILE = "arithmetic.json"
"""Of a run folder: what ``auto`` meant when the run began, so that a later sitting on another machine goes on so."""

_NAMES = {"avx512_bf16": "AVX512_BF16", "amx_bf16": "AMX", "bf16": "Arm's bfloat16"}

_warned: set[str] = set()
"""Kinds of device that this process was warned of."""


class Capability(NamedTuple):
    there: bool
    why: str
    """For a person, after a colon."""


def multiplies_bf16(device: torch.device) -> Capability:
    """Whether the device multiplies bfloat16 matrices in hardware, and faster than float32. Tests replace it."""
    return _gpu(device) if device.type == "cuda" else _processor()


def auto(device: torch.device) -> tuple[Dtype, str]:
    """What ``auto`` means on a device, and why."""
    found = multiplies_bf16(device)
    return ("bfloat16" if found.there else "float32"), found.why


def resolve_dtype(setting: DtypeSetting, device: torch.device) -> Dtype:
    """A setting as it is computed on a device; what a recipe names is obeyed."""
    return auto(device)[0] if setting == "auto" else setting


def of_run(folder: Path, device: torch.device, ranks: Ranks, say: Callable[[str], None]) -> Dtype:
    """What ``auto`` means in a run: on every rank what rank 0's device asked for when the run folder began.

    Where this machine would have chosen otherwise, a line says so: going on as before keeps the run's numbers.
    """
    kept: Dtype = "float32"
    if ranks.rank == 0:
        path, (here, why) = folder / FILE, auto(device)
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))["auto"]
            if kept != here:
                say(
                    f'this run began in {kept} and goes on in it; here dtype = "auto" would be {here}: {why}. '
                    f"A new run folder would use that"
                )
        else:
            kept = here
            write_atomic(path, json.dumps({"auto": here, "why": why, "device": device.type}, indent=1) + "\n")
    found: Dtype = ranks.broadcast_object(kept)
    return found


def warn_if_slow(dtype: Dtype, device: torch.device, width: int, say: Callable[[str], None]) -> None:
    """One line a process where bfloat16 is asked of a device that has no hardware for it: what that costs, measured.

    Args:
        width: of the model's hidden states; products of this size are timed.
    """
    found = multiplies_bf16(device)
    if dtype == "float32" or found.there or device.type in _warned:
        return
    _warned.add(device.type)
    times = slowdown(width, device)
    say(
        f"warning: bfloat16 products take {times:.3g} times as long as float32 here (width {width}): {found.why}; "
        f'dtype = "float32" or "auto" avoids that'
    )


def slowdown(width: int, device: torch.device, repeats: int = 3) -> float:
    """Time of a bfloat16 product over that of a float32 one, [rows, width] @ [width, width], medians in turn.

    Rows are chosen so that a float32 product takes some milliseconds on one core.
    """
    rows = min(1024, max(8, 100_000_000 // width**2))
    pairs = {
        dtype: (torch.randn(rows, width, device=device).to(dtype), torch.randn(width, width, device=device).to(dtype))
        for dtype in (torch.float32, torch.bfloat16)
    }
    times: dict[torch.dtype, list[float]] = {dtype: [] for dtype in pairs}
    for _ in range(repeats + 1):
        for dtype, (left, right) in pairs.items():
            began = time.perf_counter()
            left @ right
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[dtype].append(time.perf_counter() - began)
    first, second = (statistics.median(found[1:]) for found in times.values())
    return second / first


def _gpu(device: torch.device) -> Capability:
    major, minor = torch.cuda.get_device_capability(device)
    if torch.version.hip or major >= 8:
        return Capability(True, f"the GPU multiplies it in hardware (compute capability {major}.{minor})")
    return Capability(False, f"the GPU has no bfloat16 units (compute capability {major}.{minor}; they came with 8.0)")


def _processor() -> Capability:
    """The processor has instructions that beat float32's, and the library that multiplies is there and uses them."""
    found = [key for key, there in _capabilities().items() if there and key in _NAMES]
    if not found:
        return Capability(False, "the processor has no instructions that multiply bfloat16")
    there = " and ".join(_NAMES[key] for key in found)
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit in WITHOUT_BF16:
        return Capability(False, f"the processor has {there}, but ONEDNN_MAX_CPU_ISA = {limit} keeps torch from it")
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return Capability(False, f"the processor has {there}, but this torch does not use it")
    if not fast_bf16(found, maker()):
        return Capability(False, f"the processor has {there} without AMX, which is slower than float32 on Intel's")
    return Capability(True, f"the processor multiplies it in hardware ({there})")


def _capabilities() -> dict[str, bool]:
    """Of this processor."""
    if hasattr(torch.cpu, "get_capabilities"):
        return dict(torch.cpu.get_capabilities())
    return {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}  # torch 2.9
