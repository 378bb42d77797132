"""The nano chain on this processor, and on it made to behave like one without AVX-512 and bf16: seconds by stage.

    python benchmarks/nano_both_ways.py --rounds 3 --out runs/both-ways

Every stage runs at about a twentieth of its steps, in turns, a fresh run each time; medians over the rounds. The three
variables reach ATen, oneDNN and MKL.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

LIKE_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
TWENTIETH = (
    "pretrain.steps=180", "pretrain.evaluation.limit=8",
    "r1_zero.steps=4", "r1_zero.evaluate_every=4", "r1_zero.evaluation.limit=4", "r1_zero.final_limit=4",
    "cold_start.routes={r1_zero=20, few_shot=2, direct=2}",
    "reasoning_rl.steps=2", "reasoning_rl.evaluate_every=2", "reasoning_rl.evaluation.limit=4",
    "reasoning_rl.final_limit=4",
    "rejection_sampling.prompts=64", "reward_models.helpfulness.count=150", "reward_models.helpfulness.own_samples=200",
    "all_scenarios_rl.steps=2", "all_scenarios_rl.preference_steps=1", "all_scenarios_rl.evaluate_every=2",
    "all_scenarios_rl.evaluation.limit=4",
    "distill.base_steps=40", "distill.rl.steps=6", "distill.rl.evaluate_every=6", "distill.rl.evaluation.limit=4",
    "distill.evaluation.limit=8", "evaluate.evaluation.limit=4",
)  # fmt: skip


def run(out: Path, more: dict[str, str]) -> dict[str, float]:
    """Stage -> seconds of one fresh run; ``total`` is that of all stages."""
    shutil.rmtree(out, ignore_errors=True)
    settings = [part for setting in TWENTIETH for part in ("--set", setting)]
    command = [sys.executable, "-m", "r1kit", "run", "nano", "--out", str(out), *settings]
    subprocess.run(command, check=True, env={**os.environ, **more}, stdout=subprocess.DEVNULL)
    found = {path.parent.name: json.loads(path.read_text())["seconds"] for path in sorted(out.glob("*_*/result.json"))}
    return {**found, "total": sum(found.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/both-ways"))
    arguments = parser.parse_args()
    rounds = [(run(arguments.out, {}), run(arguments.out, LIKE_AVX2)) for _ in range(arguments.rounds)]
    print(f"{'stage':24}{'as it is':>10}{'like AVX2':>10}{'ratio':>7}   over the rounds")
    for stage in rounds[0][0]:
        ratios = sorted(other[stage] / own[stage] for own, other in rounds)
        own, other = (statistics.median(each[side][stage] for each in rounds) for side in (0, 1))
        print(
            f"{stage:24}{own:10.1f}{other:10.1f}{statistics.median(ratios):7.2f}   {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
