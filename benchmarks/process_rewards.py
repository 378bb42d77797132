"""Process rewards beside the paper's sentences: best of N, RL that hacks its reward model, a round of retraining.

    python benchmarks/process_rewards.py --seeds 1 2 3 [--from RUN:pretrain ...] [--out runs/process] [--go-on]

For each seed: ``nano-prm`` (``--from``, one for all seeds or one a seed: on that model in place of its own
pretraining), a line of numbers. ``--go-on`` leaves the watch without effect, so that the hack goes on to the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1kit.recipe import RECIPES, as_toml, load_recipe

HEADS = (
    "seed", "rollout tokens a solution token", "two label sets agree", "AUC of steps", "process / outcome / majority",
    "RL by process rewards", "again, retrained", "AUC on the new samples", "RL by rules",
)  # fmt: skip


def recipe_of(start: str, folder: Path) -> Path:
    """``nano-prm``, or the same on a model that is there."""
    path = RECIPES / "nano-prm.toml"
    if not start:
        return path
    recipe = load_recipe(str(path))
    stages = {name: config for name, config in recipe.stages.items() if name != "pretrain"}
    kinds = {name: recipe.kinds[name] for name in stages}
    recipe = replace(recipe, name="nano-prm-from", model=replace(recipe.model, name=start), stages=stages, kinds=kinds)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "nano-prm-from.toml"
    written.write_text(as_toml(recipe), encoding="utf-8")
    return written


def row(seed: int, found: dict[str, Any]) -> str:
    """The paper's three sentences and the verdict, in numbers."""
    labels, model, again = found["labels"], found["process"], found["process_2"]
    chosen = next(one for one in found["best_of"].values() if isinstance(one, dict) and "curves" in one)
    n = list(chosen["curves"]["process"])[-1]
    best = [f"{chosen['curves'][way][n][0]:.3f}" for way in ("process", "outcome", "majority")]
    ends = [_ends(found[name]) for name in ("process_rl", "process_rl_2")]
    rules = next(iter(found["rule_rl"]["metrics"]["rl"].values()))["avg_at_k"]
    cells = [
        str(seed), f"{labels['tokens_ratio']:.1f}", f"{labels['agreement']:.2f}", f"{model['auc']:.2f}",
        f"{' / '.join(best)} (N = {n})", *ends, f"{again['before']['auc']:.2f} -> {again['auc']:.2f}", f"{rules:.3f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _ends(course: dict[str, Any]) -> str:
    first, last = (next(iter(course[end].values()))["avg_at_k"] for end in ("first", "last"))
    stopped = f", stopped: best at {course['hacking']['best_step']}" if course.get("hacking") else ""
    return f"{first:.3f} -> {last:.3f} in {course['steps']}{stopped}"


def one_seed(seed: int, start: str, out: Path, settings: list[str]) -> dict[str, Any]:
    run = out / f"seed-{seed}"
    more = [part for each in settings for part in ("--set", each)]
    command = ["run", str(recipe_of(start, out / f"from-{seed}")), "--out", str(run), "--seed", str(seed), "--quiet"]
    subprocess.run([sys.executable, "-m", "r1kit", *command, "--ranks", "1", *more], check=True)
    stage = next(run.glob("*_prm"))
    found: dict[str, Any] = json.loads((stage / "result.json").read_text(encoding="utf-8"))["metrics"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--from", dest="starts", nargs="*", default=[""], help="models in place of pretraining")
    parser.add_argument("--out", type=Path, default=Path("runs/process"))
    parser.add_argument("--go-on", action="store_true", help="the watch stops nothing")
    given = parser.parse_args()
    settings = ["prm.watch.patience=99"] if given.go_on else []
    starts = given.starts * len(given.seeds) if len(given.starts) == 1 else given.starts
    print(f"| {' | '.join(HEADS)} |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for seed, start in zip(given.seeds, starts, strict=True):
        print(row(seed, one_seed(seed, start, given.out, settings)), flush=True)


if __name__ == "__main__":
    main()
