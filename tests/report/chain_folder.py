"""A synthetic run folder of the whole chain, its numbers known: ``write_chain(DIR)``."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STAGES = (
    "pretrain", "r1_zero", "cold_start", "cold_start_sft", "reasoning_rl", "rejection_sampling", "sft",
    "reward_models", "all_scenarios_rl", "distill", "evaluate",
)  # fmt: skip
INPUTS: dict[str, list[str]] = {
    "pretrain": [],
    "r1_zero": ["pretrain"],
    "cold_start": ["r1_zero"],
    "cold_start_sft": ["pretrain", "cold_start"],
    "reasoning_rl": ["cold_start_sft"],
    "rejection_sampling": ["reasoning_rl"],
    "sft": ["pretrain", "rejection_sampling"],
    "reward_models": ["sft"],
    "all_scenarios_rl": ["sft", "reward_models"],
    "distill": ["rejection_sampling"],
    "evaluate": ["pretrain", "r1_zero", "cold_start_sft", "reasoning_rl", "sft", "all_scenarios_rl"],
}
CHECKPOINTS = ("base", "r1_zero", "cold_start_sft", "reasoning_rl", "sft", "all_scenarios_rl")
ACCURACY: dict[str, tuple[float, ...]] = {
    "countdown": (0.137, 0.906, 0.764, 0.912, 0.843, 0.891),
    "countdown_hard": (0.041, 0.433, 0.308, 0.447, 0.371, 0.402),
    "code": (0.105, 0.712, 0.641, 0.735, 0.702, 0.729),
    "helpful": (0.231, 0.204, 0.447, 0.438, 0.587, 0.823),
    "safety": (0.118, 0.097, 0.512, 0.503, 0.691, 0.934),
    "benign": (0.311, 0.286, 0.603, 0.611, 0.704, 0.871),
}
LANGUAGE = (0.699, 0.584, 0.946, 0.973, 0.981, 0.977)
FORMAT = (0.0, 0.0, 0.931, 0.984, 0.989, 0.993)
TOKENS = (30.2, 66.3, 58.1, 71.4, 63.9, 68.8)
REPLIES = ("helpful", "safety", "benign")
RECIPE = """name = "nano"
seed = 1

[model]
hidden_size = 96

[tasks.countdown]
kind = "countdown"

[tasks.countdown_hard]
kind = "countdown"

[tasks.code]
kind = "code/list_ops"

[tasks.helpful]
kind = "general"

[tasks.safety]
kind = "general"

[tasks.benign]
kind = "general"

[stages.pretrain]
steps = 1200

[stages.r1_zero]
steps = 80
reward = {parts = {accuracy = 1.0, format = 0.2}}

[stages.cold_start]

[stages.cold_start_sft]

[stages.reasoning_rl]
steps = 40
reward = {parts = {accuracy = 1.0, language = 0.2}}

[stages.rejection_sampling]

[stages.sft]

[stages.reward_models]

[stages.all_scenarios_rl]
steps = 40
preference_steps = 24
reward = {language = 0.2}
routes = {helpful = "helpfulness", safety = "safety", benign = "helpfulness"}

[stages.distill]

[stages.evaluate]
"""
MIXED = "<think> 试 11 + 8 = 19 low so wait 11 - 3 = 8 所以 8 * 8 = 64 yes </think> <answer> (11 - 3) * 8 </answer>"
READABLE = (
    "<think> try 11 + 8 = 19 low so wait 11 - 3 = 8 so 8 * 8 = 64 yes </think> 11 minus 3 is 8, and 8 times 8 is 64. "
    "<answer> (11 - 3) * 8 </answer>"
)
SECONDS = dict(zip(STAGES, (231.0, 151.0, 28.0, 14.0, 88.0, 41.0, 37.0, 22.0, 94.0, 131.0, 66.0), strict=True))


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def line(task: str, avg: float, *, problems: int = 79, k: int = 8, half: float = 0.025, **more: Any) -> dict[str, Any]:
    cons = 0.0 if task in REPLIES else min(1.0, avg + 0.07)
    return {
        "task": task, "k": k, "problems": problems, "clusters": problems, "avg_at_k": avg,
        "interval": [round(avg - half, 4), round(avg + half, 4)], "cons_at_k": cons,
        "cons_interval": [max(0.0, cons - 0.04), min(1.0, cons + 0.03)], "pass_at_k": min(1.0, avg + 0.12), **more,
    }  # fmt: skip


def table_line(task: str, place: int) -> dict[str, Any]:
    numbers = line(task, ACCURACY[task][place])
    del numbers["task"]
    numbers |= {"response_tokens": TOKENS[place] * (0.6 if task in REPLIES else 1.0), "format_rate": FORMAT[place]}
    if task == "countdown" and place > 1:
        numbers |= {"diagnostics": {"summary_right": 0.9 + 0.01 * place}}
    numbers |= {"language_consistency": LANGUAGE[place], "reflection_rate": 0.4, "truncated_share": 0.01}
    if task == "countdown":
        worst = round(ACCURACY[task][place] * 0.83, 4)
        numbers |= {"templates": {"untold": worst, "prefilled": ACCURACY[task][place]}, "worst_template": worst}
    return numbers


def sample(checkpoint: str, place: int, task: str, text: str, *, right: bool, **more: Any) -> dict[str, Any]:
    return {
        "kind": "evaluation", "step": place, "checkpoint": checkpoint, "prompt_id": f"{task}/test/0",
        "prompt": f"{task}: use 11 8 3 make 64", "completion": text, "tokens": len(text.split()), "finish": "stop",
        "reward": float(right), "parts": {"accuracy": float(right), "format": 1.0}, "status": "ok", "version": 9,
        **more,
    }  # fmt: skip


def write_rl(folder: Path, steps: int, ends: dict[str, tuple[float, float]], language: tuple[float, float]) -> None:
    """``ends``: task -> accuracy before and after."""
    noise = random.Random(steps)
    rows, evals = [], []
    for step in range(1, steps + 1):
        part = 1 - math.exp(-3 * step / steps)
        row = {"step": step, "seconds": 1.9 * step, "reward": 0.3 + 0.6 * part, "accuracy": 0.2 + 0.6 * part}
        row |= {"language": language[0] + (language[1] - language[0]) * part + noise.gauss(0, 0.01)}
        row |= {"response_tokens": 40 + 25 * part + noise.gauss(0, 2), "entropy": 0.5 - 0.2 * part, "kl": 0.001 * step}
        rows.append(row | {"sample_seconds": 1.0, "score_seconds": 0.1, "update_seconds": 0.8})
    for step in range(0, steps + 1, 8):
        part = (1 - math.exp(-3 * step / steps)) / (1 - math.exp(-3))
        for task, (before, after) in ends.items():
            found = line(task, round(before + (after - before) * part, 4), half=0.03)
            found |= {"step": step, "split": "dev", "response_tokens": 38 + 28 * part, "format_rate": 0.9}
            found |= {"language_consistency": language[0] + (language[1] - language[0]) * part}
            found |= {"model_reward": round(-0.2 + 1.6 * part, 3)} if task in REPLIES else {}
            evals.append(found)
    jsonl(folder / "metrics.jsonl", rows)
    jsonl(folder / "eval.jsonl", evals)
    texts = {0: "try 11 + 8 = 19 so <answer> 11 + 8 + 3 </answer>", steps: READABLE}
    jsonl(
        folder / "rollouts.jsonl",
        [sample("", step, "countdown", text, right=step > 0) for step, text in texts.items()],
    )
    aha = {"question": f"use 11 8 3 make 64 ({folder.name})", "turns": 2, "word": "wait", "excerpt": READABLE}
    write_json(folder / "aha.json", [aha | {"prompt_id": "countdown/test/3", "rank": 0.9, "version": steps}])


def write_samples(
    folder: Path, routes: dict[str, dict[str, int]], domains: dict[str, tuple[int, float]]
) -> dict[str, Any]:
    """Card, samples, and what the result says of them."""
    edits = [{"by": "rules", "what": "language", "detail": "2 words"}, {"by": "rules", "what": "summary", "detail": ""}]
    rows = [
        {
            "id": f"countdown/{route}/{at}", "prompt": f"use 11 8 3 make 6{at}", "response": READABLE,
            "domain": "countdown", "language": "en",
            "provenance": {"route": route, "stage": "r1_zero", "version": 80, "kind": "", "completion": MIXED,
                           "edits": edits, "review": "accepted"},
        }
        for at in range(3) for route in routes
    ]  # fmt: skip
    rows.append({
        "id": "helpful/0", "prompt": "hello", "response": "Hello! How can I help?", "domain": "helpful",
        "language": "en",
        "provenance": {"route": "generator", "kind": "greeting", "edits": []},
    })  # fmt: skip
    jsonl(folder / "samples.jsonl", rows)
    count = sum(n for n, _ in domains.values())
    told = {
        "stage": folder.name[3:], "samples": count, "mean_tokens": 57.3,
        "domains": {name: {"samples": n, "mean_tokens": mean, "rounds": 1.0} for name, (n, mean) in domains.items()},
        "languages": {"en": count // 2, "zh": count - count // 2},
        "yields": {route: {"left": left, "share": {}} for route, left in routes.items()},
        "removed": {"duplicate": 17, "over_keep": 5}, "provenance": {}, "settings": {},
    }  # fmt: skip
    write_json(folder / "card.json", told)
    return {
        "samples": count, "mean_tokens": 57.3, "domains": {name: n for name, (n, _) in domains.items()},
        "kept": dict.fromkeys(routes, 40), "yields": {}, "language_consistency_before": 0.603,
        "language_consistency": 0.991, "dropped": {"duplicate": 17, "over_keep": 5},
    }  # fmt: skip


def reward_model(accuracy: float, faults: dict[str, float]) -> dict[str, Any]:
    bins = [
        {"low": p - 0.05, "high": p + 0.05, "count": 40, "predicted": p, "observed": p * 0.96}
        for p in (0.55, 0.65, 0.75, 0.85, 0.95)
    ]
    return {
        "trained": 912, "accuracy": accuracy, "interval": [accuracy - 0.04, accuracy + 0.03], "held_out": 101,
        "clusters": 88, "calibration_error": 0.037, "reliability": bins, "score_mean": 0.214, "score_std": 1.83,
        "by_fault": {name: {"accuracy": value, "count": 25} for name, value in faults.items()},
    }  # fmt: skip


def distilled() -> dict[str, Any]:
    def student(weights: int, base: float, taught: float) -> dict[str, Any]:
        return {
            "weights": weights, "base": {"countdown": line("countdown", base)},
            "distilled": {"countdown": line("countdown", taught)}, "distilled_flops": 210_000_000_000,
        }  # fmt: skip

    first = student(131_072, 0.052, 0.681)
    first |= {
        "rl": {name: {"countdown": line("countdown", avg)} for name, avg in (("sft", 0.412), ("with_sampling", 0.533))},
        "rl_budgets": {"sft": 210_000_000_000, "with_sampling": 660_000_000_000},
        "rl_reached": {"sft": 17, "with_sampling": 52},
        "distilled_minus_rl": {
            "sft": {"countdown": {"difference": 0.269, "interval": [0.221, 0.315], "problems": 79}},
            "with_sampling": {"countdown": {"difference": 0.148, "interval": [0.102, 0.193], "problems": 79}},
        },
    }  # fmt: skip
    teacher = {"sampling_flops": 450_000_000_000, "training_flops": 9_100_000_000_000, "weights": 395_000}
    return {"teacher": teacher, "llama-s": first, "llama-xs": student(70_000, 0.031, 0.452),
            "qwen-s": student(150_000, 0.049, 0.704)}  # fmt: skip


def write_evaluate(folder: Path) -> dict[str, Any]:
    found = {name: {task: table_line(task, at) for task in ACCURACY} for at, name in enumerate(CHECKPOINTS)}
    rows = [
        {**row, "task": task, "step": at, "split": "test", "checkpoint": name}
        for at, (name, tasks) in enumerate(found.items())
        for task, row in tasks.items()
    ]
    jsonl(folder / "eval.jsonl", rows)
    texts = {"base": "try 11 + 8 = 19 so <answer> 11 + 8 + 3 </answer>", "r1_zero": MIXED}
    samples = [
        sample(name, at, task, texts.get(name, READABLE), right=at > 0)
        for at, name in enumerate(CHECKPOINTS)
        for task in ("countdown", "code", "helpful")
    ]
    samples.append(sample("base", 0, "countdown", "in another template", right=True, template="untold"))
    jsonl(folder / "rollouts.jsonl", samples)
    return found


CHECKS = {"sampled": 640, "right": 512, "form": 498, "language": 301, "repetition": 290, "refined": 280}


def write_stage(name: str, folder: Path) -> dict[str, Any]:
    """The stage's files; the metrics of its result."""
    both = {task: (ACCURACY[task][0], ACCURACY[task][1]) for task in ("countdown", "code")}
    if name == "r1_zero":
        write_rl(folder, 80, both, (0.70, 0.58))
    if name == "reasoning_rl":
        write_rl(folder, 40, {"countdown": (0.77, 0.91), "code": (0.64, 0.73)}, (0.946, 0.973))
    if name == "all_scenarios_rl":
        ends = {task: (values[4], values[5]) for task, values in ACCURACY.items() if task != "countdown_hard"}
        write_rl(folder, 40, ends, (0.981, 0.977))
    if name == "cold_start":
        routes = {"r1_zero": CHECKS, "few_shot": {check: n // 10 for check, n in CHECKS.items()}}
        return write_samples(folder, routes, {"countdown": (190, 61.2), "code": (66, 48.7), "helpful": (40, 14.1)})
    if name == "rejection_sampling":
        domains = {"countdown": (1403, 66.0), "code": (811, 51.5), "helpful": (400, 13.9), "safety": (400, 19.2)}
        return write_samples(folder, {"samples": {check: n * 8 for check, n in CHECKS.items()}}, domains)
    if name == "reward_models":
        faults = {"rude": 0.97, "wrong_language": 0.99, "too_short": 0.81}
        return {"helpfulness": reward_model(0.921, faults), "safety": reward_model(0.968, {"harmful": 0.95})}
    if name == "distill":
        return distilled()
    if name == "evaluate":
        return write_evaluate(folder)
    return {}


def write_chain(folder: Path, *, leave_out: Sequence[str] = (), unfinished: Sequence[str] = ()) -> Path:
    """A run of the chain without some stages; ``unfinished`` ones have no result yet."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = RECIPE
    lineage = {}
    for number, name in enumerate(STAGES, start=1):
        if name in leave_out:
            continue
        place = folder / f"{number:02d}_{name}"
        metrics = write_stage(name, place)
        checkpoint = None if name in ("cold_start", "rejection_sampling", "reward_models", "evaluate") else "x"
        cost = {
            "trained_tokens": 1_000_000 * number, "sampled_tokens": 300_000 * number, "evaluated_tokens": 20_000,
            "training_flops": 10**11 * number, "evaluation_flops": 10**9,
        }  # fmt: skip
        if name not in unfinished:
            result = {"stage": name, "seconds": SECONDS[name], "cost": cost, "metrics": metrics, "inputs": INPUTS[name]}
            write_json(place / "result.json", result | {"checkpoint": checkpoint})
            lineage[name] = {"inputs": INPUTS[name], "checkpoint": checkpoint, "seconds": SECONDS[name]}
    (folder / "recipe.toml").write_text(recipe)
    manifest = {"recipe": "nano", "seed": 1, "lineage": lineage, "versions": {"torch": "2.13.0"}}
    write_json(folder / "manifest.json", manifest | {"hardware": {"processor": "Two cores"}})
    return folder
