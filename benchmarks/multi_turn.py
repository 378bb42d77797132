"""Dev3-like SFT with samples of two turns against the same without, from a nano run's base.

The R1 paper's SFT data hold few turns, and v2 names multi-turn as a limit. Both arms learn equally many samples from
the base of a run: single ones of its rejection sampling, or a quarter of them in place of two turns of the task
``turns``. Then both are asked first questions (Countdown) and second ones (``turns``), with earlier thinking dropped by
the template.

    python benchmarks/multi_turn.py runs/demo [runs/seed2 ...] --out runs/multi_turn --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from r1kit.nano.turns.task import Turns, TurnsConfig

RECIPE = """
name = "multi_turn"
seed = {seed}
dtype = "float32"
model = {{name = "{base}", template = {{drop_thinking = true}}}}
[tasks.countdown]
[tasks.turns]
kind = "turns"
[stages.without]
kind = "sft"
data = "{without}"
epochs = 1
samples_per_step = 16
optimiser = {{lr = 2e-3}}
sampling = {{max_tokens = 160}}
evaluation = {{k = 1, limit = 2, tasks = ["countdown"]}}
[stages.with_turns]
kind = "sft"
data = "{with_turns}"
epochs = 1
samples_per_step = 16
optimiser = {{lr = 2e-3}}
sampling = {{max_tokens = 160}}
evaluation = {{k = 1, limit = 2, tasks = ["countdown"]}}
[stages.evaluate]
stages = ["without", "with_turns"]
sampling = {{max_tokens = 160}}
reward = {{format_style = "think_summary", blank_thinking = true}}
evaluation = {{k = {k}, limit = {limit}, tasks = ["countdown", "turns"]}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="nano runs, done up to rejection_sampling")
    parser.add_argument("--out", type=Path, default=Path("runs/multi_turn"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="the runs in turn, one a seed")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--limit", type=int, default=79)
    asked = parser.parse_args()
    for place, seed in enumerate(asked.seeds):
        run = asked.runs[place % len(asked.runs)]
        out = asked.out / str(seed)
        table = one_seed(run.absolute(), out.absolute(), seed, asked)
        for arm, tasks in table.items():
            told = "  ".join(f"{task} {spelled(row)}" for task, row in tasks.items())
            first = tasks["turns"]["diagnostics"].get("answers_first")
            print(f"seed {seed}  {arm:10}  {told}  second answers to the first question {first:.3f}", flush=True)


def one_seed(run: Path, out: Path, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Checkpoint -> task -> its numbers, once more from the run folder where it is done."""
    out.mkdir(parents=True, exist_ok=True)
    rejected = next(run.glob("*_rejection_sampling/samples.jsonl"))
    single = [chat(row) for row in map(json.loads, rejected.read_text(encoding="utf-8").splitlines())]
    random.Random(seed).shuffle(single)
    several = [
        [*({"role": turn.role, "content": turn.content} for turn in sample.history or ()), *chat(
            {"prompt": sample.prompt, "response": sample.response})]
        for sample in Turns("turns", TurnsConfig()).good_samples(asked.samples // 4, seed)
    ]  # fmt: skip
    mixed = [*single[: asked.samples - len(several)], *several]
    random.Random(seed).shuffle(mixed)
    for name, rows in (("without", single[: asked.samples]), ("with_turns", mixed)):
        lines = (json.dumps({"messages": messages}, ensure_ascii=False) for messages in rows)
        (out / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = {name: out / f"{name}.jsonl" for name in ("without", "with_turns")}
    recipe = out / "multi_turn.toml"
    recipe.write_text(RECIPE.format(seed=seed, base=f"{run}:pretrain", k=asked.k, limit=asked.limit, **names))
    command = [sys.executable, "-m", "r1kit", "run", str(recipe), "--out", str(out / "run"), "--ranks", "1", "--quiet"]
    subprocess.run(command, check=True)
    result = json.loads(next((out / "run").glob("*_evaluate/result.json")).read_text(encoding="utf-8"))
    lines = map(json.loads, next((out / "run").glob("*_evaluate/eval.jsonl")).read_text(encoding="utf-8").splitlines())
    for line in lines:
        result["metrics"][line["checkpoint"]][line["task"]]["diagnostics"] = line["diagnostics"]
    return dict(result["metrics"])


def chat(row: dict[str, Any]) -> list[dict[str, str]]:
    """A sample as messages."""
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]


def spelled(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['avg_at_k']:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
