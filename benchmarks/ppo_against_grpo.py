"""PPO against GRPO over seeds: recipe nano-ppo, an RL stage a process, then one table with intervals.

    python benchmarks/ppo_against_grpo.py --out runs/ppo --seeds 1 2 3
    python benchmarks/ppo_against_grpo.py --out runs/ppo --seeds 1 2 --bases runs/nano-1:pretrain runs/nano-2:pretrain

Each seed has a run folder of its own, whose report draws the stages side by side. A stage runs in a process of its own,
so that the most memory it held is its own. ``--bases``: models to start from in place of pretraining, one a seed.
``--arms`` and ``--set`` try other settings. What is done already is not done again. Brackets are 95% intervals over
clusters of problems; over the seeds, each problem's accuracy is the mean of theirs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from r1kit.evals.interval import mean_interval, paired_difference
from r1kit.recipe import load_recipe, shipped_recipes
from r1kit.report.read.rivals import Rival, Rivals, rivals
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import Row

FIRST = "grpo"


def recipe_of(out: Path, base: str) -> str:
    """nano-ppo, or a copy of it that starts from a model."""
    if not base:
        return "nano-ppo"
    text = shipped_recipes()["nano-ppo"].read_text(encoding="utf-8")
    text = re.sub(r"\[model\]\n.*?\n\n", f'[model]\nname = "{base}"\n\n', text, count=1, flags=re.DOTALL)
    text = re.sub(r"\[stages\.pretrain\]\n.*?\n\n", "", text, count=1, flags=re.DOTALL)
    path = out.with_name(f"{out.name}.toml")
    path.write_text(text, encoding="utf-8")
    return str(path)


def run(out: Path, seed: int, base: str, arms: Sequence[str], settings: Sequence[str]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of(out, base)
    chosen = [part for setting in settings for part in ("--set", setting)]
    for arm in arms:
        command = [sys.executable, "-m", "r1kit", "run", recipe, "--out", str(out), "--seed", str(seed)]
        subprocess.run([*command, "--ranks", "1", "--until", arm, *chosen], check=True)


def last(folder: RunFolder, arm: str, split: str) -> Row:
    stage = folder.stage(arm)
    assert stage is not None
    return [row for row in stage.evals if row["split"] == split][-1]


def per_problem(folders: Sequence[RunFolder], arm: str, split: str) -> list[float]:
    return [float(value) for value in np.mean([last(one, arm, split)["per_problem"] for one in folders], axis=0)]


def signed(found: Row) -> str:
    low, high = found["interval"]
    return f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def bracketed(value: float | None, ends: tuple[float, float] | None) -> str:
    return "-" if value is None else f"{value:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")


def row(arm: str, groups: Sequence[Rivals], folders: Sequence[RunFolder]) -> list[str]:
    """Seed by seed; then what is over the seeds."""
    held: list[Rival] = [next(one for one in group.held if one.name == arm) for group in groups]
    found = [
        "; ".join(bracketed(*one.at(axis, getattr(group, axis))) for one, group in zip(held, groups, strict=True))
        for axis in ("samples", "flops")
    ]
    clusters = [prompt.cluster for prompt in load_recipe("nano-ppo").task("countdown").held_out("test", 79)]
    own, first = (per_problem(folders, name, "test") for name in (arm, FIRST))
    mean = mean_interval(np.array(own), clusters)
    found.append(bracketed(mean.mean, (mean.low, mean.high)))
    found.append("" if arm == FIRST else signed(paired_difference(own, first, clusters)))
    for values, form in (
        ([one.points[-1].flops for one in held], "{:.2e}"),
        ([one.length for one in held], "{:.0f}"),
        ([one.gap for one in held], "{:.3f}"),
        ([one.foretold for one in held], "{:.2f}"),
        ([sum(one.states) / 1e6 for one in held], "{:.1f}"),
        ([(one.peak or 0.0) / 1e6 for one in held], "{:.0f}"),
        ([one.seconds for one in held], "{:.0f}"),
    ):
        found.append(" ".join("-" if value is None else form.format(value) for value in values))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = [name for name in load_recipe("nano-ppo").stages if name != "pretrain"]
    parser.add_argument("--out", type=Path, default=Path("runs/ppo-against-grpo"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--bases", nargs="+", default=[], metavar="MODEL", help="one a seed; default: pretrain")
    parser.add_argument("--arms", nargs="+", choices=stages, default=stages)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args()
    bases = given.bases or [""] * len(given.seeds)
    outs = [given.out / f"seed-{seed}" for seed in given.seeds]
    for out, seed, base in zip(outs, given.seeds, bases, strict=True):
        run(out, seed, base, given.arms, given.settings)
    folders = [RunFolder(out) for out in outs]
    groups = [rivals(folder)[0] for folder in folders]
    heads = (
        f"Countdown, seeds {' '.join(map(str, given.seeds))}", "dev, equal samples", "dev, equal operations",
        "test, last, over the seeds", f"less {FIRST}, paired", "operations", "tokens", "KL a token",
        "explained variance", "states MB", "peak MB", "seconds",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for arm in given.arms:
        print(f"| {arm} | {' | '.join(row(arm, groups, folders))} |")


if __name__ == "__main__":
    main()
