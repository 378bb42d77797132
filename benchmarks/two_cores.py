"""Two ranks against one, one thread each: seconds of a pretraining step and of a GRPO step of the nano recipe.

The two alternate, ``--rounds`` times, each a short ``r1 run`` in a folder of its own; the same tokens on both sides.

    python benchmarks/two_cores.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = (
    "pretrain.steps=60",
    "pretrain.log_every=10",
    "pretrain.evaluation.limit=2",
    "r1_zero.steps=6",
    "r1_zero.evaluate_every=100",
    "r1_zero.evaluation.limit=2",
)


def seconds(ranks: int, folder: Path) -> dict[str, float]:
    """Median tokens/s of pretraining and median seconds of an RL step, the first of each left out."""
    command = [sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(folder), "--ranks", str(ranks)]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    pretrain, zero = (
        [json.loads(line) for line in (folder / stage / "metrics.jsonl").read_text().splitlines()][1:]
        for stage in ("01_pretrain", "02_r1_zero")
    )
    steps = [line["sample_seconds"] + line["score_seconds"] + line["update_seconds"] for line in zero]
    return {
        "pretrain tokens/s": statistics.median(line["tokens_per_second"] for line in pretrain),
        "GRPO tokens/s": statistics.median(
            line["response_tokens"] / took for line, took in zip(zero, steps, strict=True)
        )
        * 512,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for ranks in found:
                found[ranks].append(seconds(ranks, Path(folder) / f"{ranks}-{number}"))
    print("| | one rank | two ranks | ratio | ratios by round |\n|---|---|---|---|---|")
    for name in found[1][0]:
        one, two = (statistics.median(row[name] for row in found[ranks]) for ranks in (1, 2))
        pairs = [b[name] / a[name] for a, b in zip(found[1], found[2], strict=True)]
        print(f"| {name} | {one:,.0f} | {two:,.0f} | {two / one:.2f}x | {', '.join(f'{p:.2f}' for p in pairs)} |")


if __name__ == "__main__":
    main()
