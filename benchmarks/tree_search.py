"""Tree search, beside the paper's sentences: rounds of self-improvement, the cap on children, the value's quality.

    python benchmarks/tree_search.py --seeds 1 2 3 [--from runs/nano:pretrain] [--out runs/tree-search]

For each seed: ``nano-mcts`` (``--from``: on that model in place of its own pretraining), then ``r1 eval --search`` of
its start with caps of 1, 2, 4 and 8 children, by the value model after pre-training, then by that of the last
round, by rollouts and by nothing. Prints one table a seed.
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

CAPS = (1, 2, 4, 8)


def recipe_of(start: str, folder: Path) -> Path:
    """``nano-mcts``, or the same on a model that is there."""
    path = RECIPES / "nano-mcts.toml"
    if not start:
        return path
    recipe = load_recipe(str(path))
    stages = {name: config for name, config in recipe.stages.items() if name != "pretrain"}
    recipe = replace(
        recipe,
        name="nano-mcts-from",
        model=replace(recipe.model, name=start),
        stages=stages,
        kinds={name: recipe.kinds[name] for name in stages},
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "nano-mcts-from.toml"
    written.write_text(as_toml(recipe), encoding="utf-8")
    return written


def r1(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "r1kit", *arguments], check=True)


def searched(run: Path, name: str, limit: int, value: str, *settings: str) -> dict[str, Any]:
    """``r1 eval --search`` of the actor as it was before the first round."""
    found = run / f"search-{name}.json"
    if not found.exists():
        more = [part for each in settings for part in ("--search-set", each)]
        r1("eval", f"{run}:r1_zero", "--task", "countdown", "--k", "8", "--limit", str(limit), "--temperature", "1",
           "--top-p", "1", "--search", value, *more, "--json", str(found))  # fmt: skip
    return json.loads(found.read_text(encoding="utf-8"))


def row(name: str, methods: dict[str, Any], brier: float | None = None) -> str:
    told = [f"{methods[each]['accuracy']:.3f}" for each in ("search", "majority", "best_of_n", "weighted", "beam")]
    found = [f"{methods[each]['found']:.3f}" for each in ("search", "majority")]
    return f"| {name} | {' | '.join([*told, *found])} | {methods['search']['tokens']:.0f} | {brier or ''} |"


def one_seed(seed: int, start: str, out: Path, limit: int) -> None:
    run = out / f"seed-{seed}"
    r1("run", str(recipe_of(start, out)), "--out", str(run), "--seed", str(seed), "--ranks", "1", "--quiet")
    print(f"\nseed {seed}: held-out problems; right in the tree / among the chains; tokens a problem; Brier")
    print("| | search | majority | best of N | vote by value | beam | in tree | in chains | tokens | Brier |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    stage, control = (next(run.glob(f"*_{name}")) for name in ("mcts", "whole_chains"))
    rounds, whole = (
        json.loads((each / "result.json").read_text(encoding="utf-8"))["metrics"]["rounds"] for each in (stage, control)
    )
    for learnt, some in (("", rounds), (", whole chains learnt", whole[1:])):
        for one in some:
            task = next(iter(one["tasks"].values()))
            told = f"round {one['round']}{learnt} (one chain {one['plain_accuracy']:.3f})"
            print(row(told, task["methods"], one["brier"]))
    first = str(stage / "value-0" / "checkpoint")
    for cap in CAPS:  # as many steps drawn in all, so that the tokens are about the same
        simulations = max(1, 64 // cap)
        found = searched(run, f"cap-{cap}", limit, first, f"children={cap}", f"simulations={simulations}")
        print(row(f"cap {cap}, {simulations} simulations", found["search"]["methods"]))
    last = str(stage / f"round-{len(rounds) - 1}" / "value" / "checkpoint")
    for name, value in (("last value model", last), ("rollouts", "rollouts"), ("no value", "none")):
        found = searched(run, name.replace(" ", "-"), limit, value)
        print(row(name, found["search"]["methods"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--from", dest="start", default="", help="a model in place of the recipe's own pretraining")
    parser.add_argument("--out", type=Path, default=Path("runs/tree-search"))
    parser.add_argument("--limit", type=int, default=40, help="held-out problems of the sweeps")
    options = parser.parse_args()
    for seed in options.seeds:
        one_seed(seed, options.start, options.out, options.limit)


if __name__ == "__main__":
    main()
