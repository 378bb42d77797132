"""The nano recipe over seeds: every phenomenon that the chain is to show, as the tables of ``recipes/README.md``.

    python benchmarks/nano_seeds.py --out runs/seeds --seeds 1 2 3

Runs the whole chain for each seed, then reasoning RL once more without the language reward on a copy of the run (only
that stage is done again), and prints Markdown. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from r1kit.evals.interval import paired_difference
from r1kit.recipe import load_recipe

Line = dict[str, Any]
"""Of an evaluation."""
RECIPE = load_recipe("nano")
TASKS = {
    "countdown": "Countdown", "countdown_hard": "Countdown, numbers to 24", "code": "code", "helpful": "helpful",
    "safety": "safety (refuses harm)", "benign": "benign look-alikes answered",
}  # fmt: skip
CHECKPOINTS = {
    "base": "base", "r1_zero": "R1-Zero", "cold_start_sft": "Dev1", "reasoning_rl": "Dev2", "sft": "Dev3",
    "all_scenarios_rl": "R1",
}  # fmt: skip


def run(out: Path, seed: int, *more: str) -> None:
    command = [sys.executable, "-m", "r1kit", "run", "nano", "--out", str(out), "--seed", str(seed), *more]
    subprocess.run(command, check=True)


def without_language_reward(run_folder: Path, seed: int, *more: str) -> Path:
    """The ablation, on a copy of the finished run."""
    copy = run_folder.with_name(f"{run_folder.name}-no-language")
    if not copy.exists():
        shutil.copytree(run_folder, copy)
    run(copy, seed, "--set", "reasoning_rl.reward.parts.language=0", "--until", "reasoning_rl", *more)
    return copy


def stage(folder: Path, name: str) -> Path:
    return next(folder.glob(f"[0-9][0-9]_{name}"))


def ends(folder: Path, name: str, task: str) -> tuple[Line, Line]:
    """First and last evaluation of a stage on the test split."""
    rows = [json.loads(line) for line in (stage(folder, name) / "eval.jsonl").read_text().splitlines()]
    found = [row for row in rows if row["task"] == task and row.get("split") == "test"]
    return found[0], found[-1]


def judged(folder: Path) -> dict[str, dict[str, Line]]:
    """Checkpoint -> task -> its evaluation by stage ``evaluate``."""
    found: dict[str, dict[str, Line]] = {}
    for text in (stage(folder, "evaluate") / "eval.jsonl").read_text().splitlines():
        line = json.loads(text)
        found.setdefault(line["checkpoint"], {})[line["task"]] = line
    return found


def result(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((stage(folder, name) / "result.json").read_text())
    return found


# ---- differences ----------------------------------------------------------------------------------------------------


def paired(ones: Sequence[Line], others: Sequence[Line], key: str = "per_problem") -> tuple[list[str], str]:
    """``one - other`` of each seed, and over the seeds: each problem's difference is then the mean of theirs."""
    prompts = RECIPE.task(ones[0]["task"]).held_out("test", len(ones[0][key]))
    clusters = [prompt.cluster for prompt in prompts]
    each = [paired_difference(a[key], b[key], clusters) for a, b in zip(ones, others, strict=True)]
    means = [np.mean([line[key] for line in side], axis=0) for side in (ones, others)]
    return [difference(one, 2) for one in each], difference(paired_difference(means[0], means[1], clusters))


def difference(found: dict[str, Any], digits: int = 3) -> str:
    low, high = found["interval"]
    return f"{short(found['difference'], digits, '+')} [{short(low, digits)}, {short(high, digits)}]"


def short(value: float, digits: int, sign: str = "") -> str:
    """As the tables write a share: without its leading zero."""
    return f"{value:{sign}.{digits}f}".replace("0.", ".", 1)


def of_seeds(values: Sequence[float], digits: int = 2, mean: bool = True) -> str:
    found = " ".join(short(value, digits) for value in values)
    return f"{found} (**{short(float(np.mean(values)), digits)}**)" if mean else found


# ---- tables ---------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)
    yield ""


def zero(runs: Sequence[Path], seeds: Sequence[int]) -> Iterator[str]:
    head = (
        "seed", "avg@16", "cons@16", "accuracy given format", "tokens", "reflection", "language consistency",
        "truncated",
    )  # fmt: skip
    keys = ("cons_at_k", "accuracy_given_format", "response_tokens", "reflection_rate", "language_consistency",
            "truncated_share")  # fmt: skip
    rows = []
    for task in ("countdown", "code"):
        for folder, seed in zip(runs, seeds, strict=True):
            first, last = ends(folder, "r1_zero", task)
            low, high = last["interval"]
            accuracy = f"{short(first['avg_at_k'], 3)} -> **{short(last['avg_at_k'], 3)}**"
            row = [f"{TASKS[task]} {seed}", f"{accuracy} [{short(low, 3)}, {short(high, 3)}]"]
            for key in keys:
                digits = 0 if key == "response_tokens" else 3
                row.append(f"{short(first[key], digits)} -> {short(last[key], digits)}")
            rows.append(row)
    return table(head, rows)


def chain(runs: Sequence[Path]) -> Iterator[str]:
    found = [judged(folder) for folder in runs]
    rows = []
    for task, name in TASKS.items():
        columns = {c: [one[c][task] for one in found] for c in CHECKPOINTS}
        each, over = paired(columns["all_scenarios_rl"], columns["sft"])
        means = [of_seeds([line["avg_at_k"] for line in columns[c]]) for c in CHECKPOINTS]
        rows.append([name, *means, " ".join(each), over])
    tables = [result(folder, "evaluate")["metrics"] for folder in runs]
    taught = list(CHECKPOINTS)[2:]  # what comes before writes no summary after its thinking
    consistency: Callable[[Any], float] = lambda line: line["language_consistency"]  # noqa: E731
    summary: Callable[[Any], float] = lambda line: line["diagnostics"]["summary_right"]  # noqa: E731
    for name, task, read, of in (
        ("language consistency, Countdown", "countdown", consistency, list(CHECKPOINTS)),
        ("true summaries, Countdown", "countdown", summary, taught),
        ("true summaries, Countdown, numbers to 24", "countdown_hard", summary, taught),
    ):
        cells = [of_seeds([read(one[c][task]) for one in tables], mean=False) if c in of else "" for c in CHECKPOINTS]
        rows.append([name, *cells, "", ""])
    return table(["avg@8", *CHECKPOINTS.values(), "R1 less Dev3, paired", "over the three"], rows)


def reasoning(runs: Sequence[Path], without: Sequence[Path]) -> Iterator[str]:
    """Reasoning RL from its first to its last model, and beside it the run without the language reward."""
    rows = []
    for task in ("countdown", "code"):
        both = [ends(folder, "reasoning_rl", task) for folder in runs]
        bare = [ends(folder, "reasoning_rl", task)[1] for folder in without]
        first, last = [one[0] for one in both], [one[1] for one in both]
        for name, key, problem in (
            ("consistency", "language_consistency", "language_per_problem"),
            ("accuracy", "avg_at_k", "per_problem"),
        ):
            rose, rose_over = paired(last, first, problem)
            more, more_over = paired(last, bare, problem)
            values = [of_seeds([line[key] for line in side], 3, mean=False) for side in (first, last, bare)]
            rows.append([f"{name}, {TASKS[task]}", *values, " ".join(rose), rose_over, " ".join(more), more_over])
    head = ["seeds", "before", "with", "without", "with less before", "over the three", "with less without"]
    return table([*head, "over the three"], rows)


def students(runs: Sequence[Path], seeds: Sequence[int]) -> Iterator[str]:
    tables = [result(folder, "distill")["metrics"] for folder in runs]
    names = [name for name in tables[0] if name != "teacher"]
    main = next(name for name in names if "rl" in tables[0][name])
    head = ["seed", f"{main}: base -> distilled"]
    for budget in tables[0][main]["rl"]:
        head += [f"RL, {budget}", "steps", "distilled minus RL"]
    others = [name for name in names if name != main]
    rows = []
    for one, seed in zip(tables, seeds, strict=True):
        row = [str(seed), rose(one[main])]
        for budget, of in one[main]["rl"].items():
            gained = difference(one[main]["distilled_minus_rl"][budget]["countdown"])
            row += [short(of["countdown"]["avg_at_k"], 3), str(one[main]["rl_reached"][budget]), gained]
        rows.append([*row, *(rose(one[name]) for name in others)])
    yield from table([*head, *others], rows)
    for budget in tables[0][main]["rl"]:
        sides = [
            [t[main]["distilled"]["countdown"] for t in tables],
            [t[main]["rl"][budget]["countdown"] for t in tables],
        ]
        yield f"Distilled minus RL ({budget}), over the three: {paired(*sides)[1]}"
    yield ""


def rose(student: dict[str, Any]) -> str:
    before, after = (student[side]["countdown"]["avg_at_k"] for side in ("base", "distilled"))
    return f"{short(before, 3)} -> **{short(after, 3)}**"


def seconds(runs: Sequence[Path], seeds: Sequence[int]) -> Iterator[str]:
    took = {name: [result(folder, name)["seconds"] for folder in runs] for name in RECIPE.stages}
    took["all stages"] = [sum(column) for column in zip(*took.values(), strict=True)]
    rows = [[name, *(f"{value:.0f}" for value in values)] for name, values in took.items()]
    return table(["seconds", *(f"seed {seed}" for seed in seeds)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--ranks", default="", help="of every run; default: one a core")
    given = parser.parse_args()
    more = ["--ranks", given.ranks] if given.ranks else []
    runs = [given.out / f"seed-{seed}" for seed in given.seeds]
    for folder, seed in zip(runs, given.seeds, strict=True):
        run(folder, seed, *more)
    without = [without_language_reward(folder, seed, *more) for folder, seed in zip(runs, given.seeds, strict=True)]
    for lines in (
        zero(runs, given.seeds), chain(runs), reasoning(runs, without), students(runs, given.seeds),
        seconds(runs, given.seeds),
    ):  # fmt: skip
        print(*lines, sep="\n")


if __name__ == "__main__":
    main()
