"""bfloat16 against float32: matrix products of any shapes, and Muon's orthogonalisation, medians taken in turn.

    OMP_NUM_THREADS=1 python benchmarks/arithmetic.py --shapes 512x512x512 64x576x1536 --muon 6x96x256 9x96x96
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OMP_NUM_THREADS=1 \\
        python benchmarks/arithmetic.py

The second line makes an AVX-512 machine behave like one with AVX2 and no bfloat16 instructions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from r1kit.backends.arithmetic import auto
from r1kit.update.optim import orthogonalise

DTYPES = (torch.float32, torch.bfloat16)


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    dtype, why = auto(device)
    print(f"{torch.backends.cpu.get_cpu_capability()}, {given.threads} thread(s), auto is {dtype}: {why}")
    for text in given.shapes:
        rows, inner, columns = (int(size) for size in text.split("x"))
        times = medians([product(rows, inner, columns, d, device) for d in DTYPES], given)
        report(f"product {text}", times, 2 * rows * inner * columns)
    steps = [[int(size) for size in text.split("x")] for text in given.muon]
    times = medians([muon(steps, d, device) for d in DTYPES], given)
    report(f"Muon {' '.join(given.muon)}", times)


def product(rows: int, inner: int, columns: int, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    left = torch.randn(rows, inner, device=device).to(dtype)
    right = torch.randn(columns, inner, device=device).to(dtype)
    return lambda: torch.nn.functional.linear(left, right)


def muon(shapes: list[list[int]], dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    matrices = [torch.randn(*shape, device=device) for shape in shapes]
    return lambda: [orthogonalise(each, dtype=dtype) for each in matrices]


def medians(works: list[Callable[[], object]], given: argparse.Namespace) -> list[float]:
    """Seconds of each work, measured ``repeats`` times in turn, after one that does not count."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(given.repeats + 1):
        for work, found in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            if given.device != "cpu":
                torch.cuda.synchronize()
            found.append(time.perf_counter() - began)
    return [statistics.median(found[1:]) for found in times]


def report(name: str, times: list[float], operations: int = 0) -> None:
    parts = [
        f"{str(dtype).removeprefix('torch.')} {1e3 * seconds:.3f} ms"
        + (f" ({operations / seconds / 1e9:.1f} GFLOP/s)" if operations else "")
        for dtype, seconds in zip(DTYPES, times, strict=True)
    ]
    print(f"{name}: {', '.join(parts)}, bfloat16 / float32 {times[1] / times[0]:.2f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shapes = ["512x512x512", "2560x96x256", "64x576x1536", "1024x576x1536"]
    parser.add_argument("--shapes", nargs="*", default=shapes, help="rows x inner x columns")
    nano = ["9x96x96", "3x96x96", "9x96x256"]
    parser.add_argument("--muon", nargs="*", default=nano, help="matrices x rows x columns; default: those of nano")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
