"""Step times of `r1 plan --simulate` against measured ones: in turn and ahead of the learner, on 1 to 4 processes.

Measures the pace once (`r1 doctor --pace`), pretrains a short base once, then runs each layout from it, one after the
other, and simulates the same layout with the lengths that this run drew. On a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

LAYOUTS = ((1, 0, 0), (2, 0, 0), (1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 2, 1), (1, 1, 0))
"""(ranks, engines, max_lag)."""


def r1(*arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "r1kit", *arguments], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"r1 {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def settings(given: argparse.Namespace, ranks: int, engines: int, lag: int) -> list[str]:
    """Of a run, and of its simulation."""
    wanted = {
        "ranks": ranks, "cluster.engines": engines, "pretrain.steps": given.pretrain, "r1_zero.max_lag": lag,
        "r1_zero.steps": given.steps, "r1_zero.evaluate_every": 1000, "r1_zero.record_groups": 32,
        "r1_zero.final_split": '""', "r1_zero.evaluation.limit": 4, "r1_zero.evaluation.k": 1,
        "r1_zero.over_update": f'"{given.over_update}"', "r1_zero.verifier_workers": 1,
        "r1_zero.loss.importance": '"truncated"',
    }  # fmt: skip
    return [text for key, value in wanted.items() for text in ("--set", f"{key}={value}")]


def measured(run: Path) -> float:
    """Median seconds of a step, the first quarter left out."""
    lines = [json.loads(line) for line in next(run.glob("*_r1_zero/metrics.jsonl")).read_text().splitlines()]
    seconds = [line["seconds"] for line in lines]
    steps = [after - before for before, after in pairwise(seconds)]
    return statistics.median(steps[len(steps) // 4 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--pretrain", type=int, default=200)
    parser.add_argument("--over-update", default="wait")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pace, base = given.out / "pace.json", given.out / "base"
    r1("doctor", "--pace", "nano-zero", "--json", str(pace))
    r1("run", "nano-zero", "--out", str(base), "--until", "pretrain", *settings(given, 2, 0, 0))
    print(f"{'ranks':>6}{'engines':>8}{'lag':>5}{'measured s':>12}{'simulated s':>13}{'ratio':>7}")
    for ranks, engines, lag in LAYOUTS:
        run = given.out / f"{ranks}-{engines}-{lag}"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(base, run)
        asked = settings(given, ranks, engines, lag)
        r1("run", "nano-zero", "--out", str(run), *asked)
        table = given.out / f"{run.name}.json"
        r1(
            "plan", "nano-zero", "--simulate", "--gpu", "cpu", "--pace", str(pace), "--lengths", f"{run}:r1_zero",
            "--lags", str(lag), "--json", str(table), *asked,
        )  # fmt: skip
        (scenario,) = json.loads(table.read_text())["scenarios"]
        found, seen = scenario["step_seconds"], measured(run)
        print(f"{ranks:>6}{engines:>8}{lag:>5}{seen:>12.3f}{found:>13.3f}{found / seen:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
