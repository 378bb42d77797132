"""Does the paper's per-sequence mean (equation 1) shorten chains? Two bases, two means, with and without format reward.

    python benchmarks/sequence_loss.py --out runs/sequence-loss --seeds 1

For each seed a weak base (few pretraining steps) and the recipe's own are trained once; from each, R1-Zero runs with
``loss.aggregate`` = token-mean and sequence-mean, at the recipe's format weight and at 0; all else is recipe nano-zero.
If the weak base and the format reward are both needed for chains to collapse, then the cause is that format is all such
a base can earn, and a short tagged sample gets more of its advantage per token under the per-sequence mean. What is
done already is not done again. Prints a Markdown table: dev split, first and last evaluation.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

AGGREGATES = ("token-mean", "sequence-mean")


def run(out: Path, seed: int, until: str, *settings: str) -> None:
    chosen = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(out), "--seed", str(seed)]
    subprocess.run([*command, "--until", until, *chosen], check=True)


def evaluations(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "02_r1_zero" / "eval.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == "dev"]


def row(name: str, first: dict[str, Any], last: dict[str, Any]) -> str:
    keys = ("avg_at_k", "cons_at_k", "response_tokens", "format_rate", "reflection_rate", "truncated_share")
    return f"| {name} | " + " | ".join(f"{first[key]:.3g} -> {last[key]:.3g}" for key in keys) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/sequence-loss"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--bases", nargs="+", choices=["weak", "good"], default=["weak", "good"])
    parser.add_argument("--format-weights", type=float, nargs="+", default=[0.2, 0.0])
    parser.add_argument("--weak-steps", type=int, default=300, help="pretraining steps of the weak base")
    parser.add_argument("--good-steps", type=int, default=3000, help="pretraining steps of the good base")
    parser.add_argument("--steps", type=int, default=45, help="RL steps")
    given = parser.parse_args()
    rows = []
    pretrained = {"weak": given.weak_steps, "good": given.good_steps}
    for seed, base in product(given.seeds, given.bases):
        shared = given.out / f"seed-{seed}-{base}"
        settings = (f"pretrain.steps={pretrained[base]}", f"r1_zero.steps={given.steps}", "r1_zero.final_split=")
        run(shared, seed, "pretrain", *settings)
        for aggregate, weight in product(AGGREGATES, given.format_weights):
            folder = given.out / f"seed-{seed}-{base}-{aggregate}-{weight:g}"
            if not folder.exists():
                shutil.copytree(shared, folder)
            run(folder, seed, "r1_zero", *settings, f"r1_zero.loss.aggregate={aggregate}",
                f"r1_zero.reward.parts={{accuracy = 1.0, format = {weight}}}")  # fmt: skip
            lines = evaluations(folder)
            rows.append(row(f"{seed}, {base}, {aggregate}, {weight:g}", lines[0], lines[-1]))
    print("| seed, base, mean, format weight | avg@16 | cons@16 | tokens | format | reflection | truncated |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
