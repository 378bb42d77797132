"""The nano recipe over seeds: every phenomenon that the chain is to show, with the number found.

    python benchmarks/nano_seeds.py --out runs/seeds --seeds 1 2 3

Runs the whole chain for each seed, then reasoning RL once more without the language reward on a copy of the run (only
that stage is done again), and prints one table as Markdown. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from r1kit.evals.paired import paired_difference
from r1kit.recipe import load_recipe

Row = tuple[str, list[str]]


def run(out: Path, seed: int, *more: str) -> None:
    command = [sys.executable, "-m", "r1kit", "run", "nano", "--out", str(out), "--seed", str(seed), *more]
    subprocess.run(command, check=True)


def without_language_reward(run_folder: Path, seed: int) -> Path:
    """The ablation, on a copy of the finished run."""
    copy = run_folder.with_name(f"{run_folder.name}-no-language")
    if not copy.exists():
        shutil.copytree(run_folder, copy)
    run(copy, seed, "--set", "reasoning_rl.reward.parts.language=0", "--until", "reasoning_rl")
    return copy


def stage(folder: Path, name: str) -> Path:
    return next(path for path in sorted(folder.glob(f"*_{name}")) if ".before" not in path.name)


def lines(folder: Path, name: str, task: str, split: str) -> list[dict[str, Any]]:
    """Evaluations of a stage, in order."""
    text = (stage(folder, name) / "eval.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if row["task"] == task and row.get("split") == split]


def result(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((stage(folder, name) / "result.json").read_text())
    return found


def with_interval(line: dict[str, Any], key: str = "avg_at_k", interval: str = "interval") -> str:
    low, high = line[interval]
    return f"{line[key]:.3f} [{low:.3f}, {high:.3f}]"


def rose(before: float, after: float) -> str:
    return f"{before:.3f} -> {after:.3f}"


def zero_rows(runs: Sequence[Path]) -> Iterator[Row]:
    for task in ("countdown", "code"):
        ends = [(found[0], found[-1]) for found in (lines(folder, "r1_zero", task, "test") for folder in runs)]
        yield f"R1-Zero {task}: avg@k", [f"{a['avg_at_k']:.3f} -> {with_interval(b)}" for a, b in ends]
        yield (
            f"R1-Zero {task}: cons@k",
            [f"{a['cons_at_k']:.3f} -> {with_interval(b, 'cons_at_k', 'cons_interval')}" for a, b in ends],
        )
        given = [[end.get("accuracy_given_format", 0.0) for end in pair] for pair in ends]
        yield f"R1-Zero {task}: accuracy given format", [rose(*pair) for pair in given]
        for name, key in (
            ("response tokens", "response_tokens"),
            ("responses with reflection", "reflection_rate"),
            ("language consistency", "language_consistency"),
            ("format", "format_rate"),
            ("truncated", "truncated_share"),
        ):
            yield f"R1-Zero {task}: {name}", [rose(a[key], b[key]) for a, b in ends]


def stage_rows(runs: Sequence[Path]) -> Iterator[Row]:
    tables = [result(folder, "evaluate")["metrics"] for folder in runs]
    for task in next(iter(tables[0].values())):
        for checkpoint in tables[0]:
            yield (
                f"{task}, {checkpoint}: avg, language consistency",
                [
                    f"{with_interval(t[checkpoint][task])}, {t[checkpoint][task].get('language_consistency', 1):.3f}"
                    for t in tables
                ],
            )


def judged(folder: Path) -> dict[str, Any]:
    """Dev2 on the test split at the temperature of training, by ``r1 eval``."""
    path = folder / "dev2.json"
    if not path.exists():
        model = [f"{folder}:reasoning_rl", "--task", "countdown", "--k", "16", "--limit", "79"]
        command = [sys.executable, "-m", "r1kit", "eval", *model, "--temperature", "1", "--top-p", "1"]
        subprocess.run([*command, "--json", str(path)], check=True)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def ablation_rows(runs: Sequence[Path], without: Sequence[Path]) -> Iterator[Row]:
    """With and without the language reward; over the seeds, each problem's difference is the mean of theirs."""
    both = [(judged(run), judged(other)) for run, other in zip(runs, without, strict=True)]
    prompts = load_recipe("nano").task("countdown").held_out("test", 79)
    clusters = [prompt.cluster for prompt in prompts]
    for name, key, each in (
        ("language consistency", "language_consistency", "language_per_problem"),
        ("accuracy", "avg_at_k", "per_problem"),
    ):
        yield f"Dev2 with / without the language reward: {name}", [f"{a[key]:.3f} / {b[key]:.3f}" for a, b in both]
        found = [paired_difference(a[each], b[each], clusters) for a, b in both]
        means = [np.mean([pair[side][each] for pair in both], axis=0) for side in (0, 1)]
        pooled = paired_difference(means[0], means[1], clusters)
        yield f"{name}: with minus without", [difference(one) for one in found]
        yield f"{name}: with minus without, over the seeds", [difference(pooled), *[""] * (len(runs) - 1)]


def difference(found: dict[str, Any], digits: int = 3) -> str:
    low, high = found["interval"]
    return f"{found['difference']:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def student_rows(runs: Sequence[Path]) -> Iterator[Row]:
    tables = [result(folder, "distill")["metrics"] for folder in runs]
    for name in (name for name in tables[0] if name != "teacher"):
        yield (
            f"student {name}: base -> distilled",
            [rose(*(t[name][side]["countdown"]["avg_at_k"] for side in ("base", "distilled"))) for t in tables],
        )
        if "rl" in tables[0][name]:
            for budget in tables[0][name]["rl"]:
                found = [t[name]["distilled_minus_rl"][budget]["countdown"] for t in tables]
                reached = [t[name]["rl"][budget]["countdown"]["avg_at_k"] for t in tables]
                yield (
                    f"student {name}: RL at equal compute ({budget}); distilled minus RL",
                    [f"{r:.3f}; {difference(f)}" for r, f in zip(reached, found, strict=True)],
                )


def time_rows(runs: Sequence[Path]) -> Iterator[Row]:
    order = list(load_recipe("nano").stages)
    for name in order:
        yield f"seconds: {name}", [f"{result(folder, name)['seconds']:.0f}" for folder in runs]
    yield "seconds: all stages", [f"{sum(result(folder, name)['seconds'] for name in order):.0f}" for folder in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    given = parser.parse_args()
    runs = [given.out / f"seed-{seed}" for seed in given.seeds]
    for folder, seed in zip(runs, given.seeds, strict=True):
        run(folder, seed)
    without = [without_language_reward(folder, seed) for folder, seed in zip(runs, given.seeds, strict=True)]
    print("| | " + " | ".join(f"seed {seed}" for seed in given.seeds) + " |")
    print("|---|" + "---|" * len(given.seeds))
    rows = [*zero_rows(runs), *ablation_rows(runs, without), *stage_rows(runs), *student_rows(runs), *time_rows(runs)]
    for name, values in rows:
        print(f"| {name} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    main()
