"""A synthetic run folder whose numbers are known: ``write_run(DIR)``; no test here needs a trained model."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

STEPS = 110
RECIPE = f"""name = "nano-zero"
seed = 1

[model]
hidden_size = 96
num_layers = 3

[tasks.countdown]
kind = "countdown"
low = 1
high = 12

[stages.pretrain]
steps = 1200
learning_rate = 0.03

[stages.r1_zero]
steps = {STEPS}
prompts_per_step = 16
learning_rate = 0.0005
kl_weight = 0.0
"""
MANIFEST = {
    "recipe": "nano-zero",
    "recipe_hash": "9f3c2ab0117de541",
    "seed": 1,
    "created": "2026-11-22T10:36:00+0000",
    "versions": {"r1kit": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"},
    "hardware": {"processor": "Two cores of a server CPU", "ranks": 2, "device": "cpu"},
    "lineage": {
        "pretrain": {"inputs": [], "checkpoint": "01_pretrain/checkpoint", "seconds": 231.4},
        "r1_zero": {
            "inputs": ["pretrain"],
            "checkpoint": "02_r1_zero/checkpoint",
            "seconds": 228.9,
        },
    },
}
BEFORE = "try 11 + 8 = 19 + 3 = 22 low so <answer> 11 + 8 + 3 </answer>"
AFTER = (
    "<think> try 11 + 8 = 19 + 3 = 22 low 19 * 3 = 57 high wait 11 - 8 = 3 + 3 = 6 low 3 * 3 = 9 low wait "
    "11 + 3 = 14 + 8 = 22 low 14 * 8 = 112 high wait 11 - 3 = 8 * 8 = 64 yes </think> <answer> 11 - 3 * 8 </answer>"
)


def jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def eval_row(step: int, part: float, split: str = "dev") -> dict[str, Any]:
    """``part`` 0: the base; 1: the trained model. Ends: avg .111 and .902, cons .47 and .97, 31 and 67 tokens."""
    avg, cons = 0.111 + 0.791 * part, 0.47 + 0.5 * part**0.5
    return {
        "step": step,
        "seconds": 2.1 * step,
        "task": "countdown",
        "split": split,
        "k": 16,
        "avg_at_k": round(avg, 4),
        "cons_at_k": round(cons, 4),
        "pass_at_k": round(0.79 + 0.19 * part, 4),
        "interval": [round(avg - 0.022, 4), round(avg + 0.018, 4)],
        "cons_interval": [round(cons - 0.04, 4), round(cons + 0.02, 4)],
        "response_tokens": round(31 + 36 * part, 2),
        "format_rate": round(0.34 + 0.6 * part, 4),
        "accuracy_given_format": round(0.326 + 0.634 * part, 4),
        "accuracy_under_budget": {
            str(b): round(avg * (1 - math.exp(-b / (22 + 22 * part))), 3) for b in (25, 40, 60, 80, 110, 140, 170)
        },
        "reflection_rate": round(0.37 + 0.47 * part, 4),
        "reflection_words": {
            "wait": 0.98 + 2.2 * part,
            "check": 0.1 + 0.1 * part,
            "hmm": 0.2,
            "等等": 0.3 + 0.7 * part,
        },
        "language_consistency": round(0.68 - 0.13 * part, 4),
        "mixed_share": round(0.33 + 0.33 * part, 4),
        "truncated_share": round(0.01 + 0.04 * part, 4),
        "diagnostics": {
            "tries": 1.7 + 2.4 * part,
            "distinct_tries": 1.6 + 2.1 * part,
            "arithmetic_right": 0.96 + 0.01 * part,
            "right_when_claims": 0.79 + 0.17 * part,
        },
        "accuracy_by_tries": {
            tries: {"count": 900 - 150 * i, "accuracy": round((0.1, 0.31, 0.5, 0.7, 0.4)[i] * (0.35 + 0.6 * part), 3)}
            for i, tries in enumerate(("0", "1", "2-3", "4-6", "7+"))
        },
        "problems": 158,
        "clusters": 79,
    }


def metric_rows(steps: int) -> list[dict[str, Any]]:
    noise = random.Random(7)
    rows = []
    for step in range(steps):
        part = 1 - math.exp(-step / 25)
        accuracy = 0.11 + 0.74 * part + noise.gauss(0, 0.03)
        form = 0.34 + 0.58 * part + noise.gauss(0, 0.02)
        row = {"step": step + 1, "seconds": 2.08 * (step + 1), "lr": 5e-4 * (1 - 0.7 * step / STEPS), "kl": 0.0}
        row |= {"reward": accuracy + 0.2 * form, "accuracy": accuracy, "format": form, "clip_share": 0.0}
        row |= {"language": 0.68 - 0.12 * part + noise.gauss(0, 0.01), "loss": noise.gauss(0, 0.02)}
        row |= {"response_tokens": 31 + 36 * part + noise.gauss(0, 2.5), "entropy": 0.48 - 0.1 * part}
        row |= {
            "grad_norm": 0.6 + abs(noise.gauss(0, 0.15)),
            "flat_group_share": 0.05 + 0.3 * part + noise.gauss(0, 0.02),
        }
        row |= {"truncated_share": max(0.0, 0.01 + 0.05 * part + noise.gauss(0, 0.01)), "ungradable_share": 0.0}
        row |= {"timeout_share": 0.0, "ratio_max": 1.0, "sampler_gap": 1e-6 * (1 + noise.random())}
        row |= {"sample_seconds": 0.9 + 0.2 * part, "score_seconds": 0.05, "update_seconds": 1.0 + 0.1 * part}
        row |= {"tokens_per_second": 8200 + noise.gauss(0, 300)}
        rows.append(row)
    return rows


def rollout_row(step: int, index: int, completion: str, right: bool) -> dict[str, Any]:
    form = 1.0 if "</think>" in completion else 0.0
    return {
        "kind": "evaluation",
        "step": step,
        "prompt_id": f"countdown/dev/{index}",
        "prompt": f"use 11 8 {index} make 64",
        "completion": completion,
        "tokens": len(completion.split()),
        "finish": "stop",
        "reward": float(right) + 0.2 * form,
        "parts": {"accuracy": float(right), "format": form},
        "answer": "11 - 3 * 8",
        "status": "ok",
        "version": step,
        "advantage": 0.4,
    }


def write_pretrain(folder: Path) -> None:
    noise = random.Random(3)
    rows = [
        {"step": step, "seconds": 0.19 * step, "loss": 0.8 + 3 * math.exp(-step / 120) + noise.gauss(0, 0.03)}
        | {"lr": 0.03, "grad_norm": 1.0, "tokens": 2560.0, "tokens_per_second": 15000.0}
        for step in range(1200)
    ]
    jsonl(folder / "metrics.jsonl", rows)
    gate: dict[str, Any] = {
        "task": "countdown",
        "passed": False,
        "styles": [
            {"style": "terse", "tries": "0", "share": 0.3, "accuracy": 0.11, "tokens": 9.1},
            {"style": "short", "tries": "1", "share": 0.29, "accuracy": 0.14, "tokens": 21.3},
            {"style": "few", "tries": "2-3", "share": 0.2, "accuracy": 0.43, "tokens": 39.8},
            {"style": "long", "tries": "4+", "share": 0.21, "accuracy": 0.95, "tokens": 66.0},
        ],
        "by_tries": {"0": {"accuracy": 0.11, "count": 460}, "1": {"accuracy": 0.14, "count": 440}},
        "measures": {"mixed_groups_share": 0.79, "valid_numbers": 0.55, "correct_given_claim": 0.88},
        "warnings": ["only 55% of answers use the given numbers rightly (wanted: 60%); train it longer"],
    }
    (folder / "gate.json").write_text(json.dumps([gate]))
    (folder / "result.json").write_text(json.dumps({"stage": "pretrain", "seconds": 231.4, "metrics": {"loss": 0.8}}))


def write_zero(folder: Path, steps: int, *, done: bool) -> None:
    jsonl(folder / "metrics.jsonl", metric_rows(steps))
    marks = [step for step in range(0, STEPS + 1, 10) if step <= steps]
    parts = {step: 1.0 if step == STEPS else 1 - math.exp(-step / 22) for step in marks}
    rows = [eval_row(step, parts[step]) for step in marks]
    if done:
        rows += [eval_row(0, 0.0, "test"), eval_row(STEPS, 1.0, "test")]
    jsonl(folder / "eval.jsonl", rows)
    samples = [rollout_row(0, index, BEFORE, right=index == 0) for index in range(7)]
    samples += [rollout_row(marks[-1], index, AFTER, right=index != 5) for index in range(7)]
    jsonl(folder / "rollouts.jsonl", samples)
    if done:
        aha = [
            {
                "prompt_id": "countdown/test/3",
                "question": "use 11 8 3 make 64",
                "completion": 0,
                "turns": 2,
                "word": "wait",
                "excerpt": AFTER,
                "rank": 0.9,
                "version": STEPS,
            }
        ]
        (folder / "aha.json").write_text(json.dumps(aha))
        result = {"stage": "r1_zero", "seconds": 228.9, "metrics": {}, "inputs": ["pretrain"]}
        (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """``write_run(DIR, steps=110, done=True)`` writes a nano-zero run and gives DIR back."""

    def write(folder: Path, steps: int = STEPS, *, done: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.toml").write_text(RECIPE)
        (folder / "manifest.json").write_text(json.dumps(MANIFEST))
        write_pretrain(folder / "01_pretrain")
        write_zero(folder / "02_r1_zero", steps, done=done)
        return folder

    return write
