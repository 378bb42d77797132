"""Rollouts ahead of the learner against in turn, on the same two cores: one engine process and one rank, or two ranks.

One thread a process. Both start from the same pretrained folder and alternate, ``--rounds`` times; what is told is the
median seconds from one step of R1-Zero to the next, the first two left out, and the ratio of each round.

    python benchmarks/ahead.py
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

SHORT = ("pretrain.steps=60", "pretrain.evaluation.limit=2", "r1_zero.evaluate_every=100", "r1_zero.evaluation.limit=2",
         "r1_zero.final_split=", "r1_zero.prompts_per_step=8")  # fmt: skip
WAYS = {
    "two ranks in turn": ("ranks=2",),
    "one rank, one engine, in turn": ("ranks=1", "cluster.engines=1"),
    "one rank, one engine, max_lag 1": ("ranks=1", "cluster.engines=1", "r1_zero.max_lag=1"),
    "one rank, one engine, max_lag 2, ready, keep": (
        "ranks=1", "cluster.engines=1", "r1_zero.max_lag=2", "r1_zero.order=ready", "r1_zero.over_update=keep"
    ),
}  # fmt: skip


def run(folder: Path, *more: str) -> None:
    command = [sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(folder)]
    settings = [part for setting in SHORT for part in ("--set", setting)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *settings, *more], check=True, capture_output=True, env=environment)


def seconds(base: Path, folder: Path, steps: int, way: tuple[str, ...]) -> float:
    """Median from one step to the next."""
    shutil.copytree(base, folder)
    run(folder, *(part for setting in (*way, f"r1_zero.steps={steps}") for part in ("--set", setting)))
    lines = (folder / "02_r1_zero/metrics.jsonl").read_text().splitlines()
    at = [json.loads(line)["seconds"] for line in lines][2:]
    return statistics.median(later - earlier for earlier, later in pairwise(at))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as place:
        base = Path(place) / "base"
        run(base, "--until", "pretrain")
        for number in range(given.rounds):
            for index, (name, way) in enumerate(WAYS.items()):
                found[name].append(seconds(base, Path(place) / f"{index}-{number}", given.steps, way))
    first, *_ = found.values()
    print("| | seconds a step | speed against two ranks | by round |\n|---|---|---|---|")
    for name, row in found.items():
        ratios = [one / other for one, other in zip(first, row, strict=True)]
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {name} | {statistics.median(row):.2f} | {statistics.median(ratios):.2f}x | {told} |")


if __name__ == "__main__":
    main()
