"""Results as lm-evaluation-harness writes them, a folder a model: ``results_DATE.json``, ``samples_TASK_DATE.jsonl``.

Read by what reads its output. One line of samples is a problem with all of its k responses; ``exact_match`` is the
share of them that is right, and its mean is avg@k. A task that grades nothing has no such number anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from r1kit import __version__
from r1kit.evals.evaluator import Evaluation
from r1kit.files import write_atomic
from r1kit.records import Sampling

__all__ = ["write_harness"]

METRIC, FILTER = "exact_match", "none"
LONGEST_NAME = 150
"""Bytes of a model's or a task's name in a path; file systems take 255, of which a date is some."""
_UNSAFE = re.compile(r'["<>:/|\\?*\[\]]+')


def write_harness(
    folder: Path, line: Mapping[str, Any], found: Evaluation, asked: Sequence[str], sampling: Sampling,
    about: Mapping[str, Any], now: datetime | None = None,
) -> tuple[Path, Path]:  # fmt: skip
    """Write both files under ``folder/MODEL``; their paths, samples first.

    Args:
        line: of the numbers (``told.evaluation_line``) with its ``model``.
        asked: of each problem, the prompt as the model was asked it.
        about: what else says how it was asked, for ``config``.
        now: time in the files' names.
    """
    date = (now or datetime.now()).isoformat().replace(":", "-")
    place = folder / _named(line["model"])
    place.mkdir(parents=True, exist_ok=True)
    task = _named(line["task"])
    metrics = [METRIC] if line["avg_at_k"] is not None else []
    rows = _samples(found, asked, sampling, metrics)
    samples, results = place / f"samples_{task}_{date}.jsonl", place / f"results_{date}.json"
    write_atomic(samples, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_atomic(
        results, json.dumps(_results(line, rows, sampling, metrics, about), ensure_ascii=False, indent=2) + "\n"
    )
    return samples, results


def _named(text: str) -> str:
    """A folder's or file's name for it; of what is longer than a name may be, its end behind a hash."""
    name = _UNSAFE.sub("__", text)
    if len(name.encode()) > LONGEST_NAME:
        end = name.encode()[-LONGEST_NAME + 17 :].decode(errors="ignore")
        name = f"{_hash(text)[:16]}_{end}"
    return f"_{name}" if name.strip(".") == "" else name


def _samples(
    found: Evaluation, asked: Sequence[str], sampling: Sampling, metrics: Sequence[str]
) -> list[dict[str, Any]]:
    drawn = _drawn(sampling)
    rows = []
    for place, (group, scores, text) in enumerate(zip(found.groups, found.scores, asked, strict=True)):
        prompt = group.prompt
        target = list(prompt.answers) if prompt.also else prompt.answer or ""
        doc = {"id": prompt.id, "question": prompt.question, "answer": target}
        right = [score.parts.get("accuracy", 0.0) >= 1.0 for score in scores]
        texts = [completion.text for completion in group.completions]
        rows.append(
            {
                "doc_id": place,
                "doc": doc,
                "target": target,
                "arguments": {"gen_args_0": {"arg_0": text, "arg_1": drawn}},
                "resps": [texts],
                "filtered_resps": [score.answer or "[invalid]" for score in scores] if metrics else texts,
                "filter": FILTER,
                "metrics": list(metrics),
                "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
                "prompt_hash": _hash(text),
                "target_hash": _hash(str(target)),
                **{metric: sum(right) / len(right) for metric in metrics},
            }
        )
    return rows


def _results(
    line: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], sampling: Sampling, metrics: Sequence[str],
    about: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    task = line["task"]
    hashes = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
    found: dict[str, Any] = {}
    for metric in metrics:
        found |= _mean([row[metric] for row in rows], metric)
    return {
        "results": {task: {"alias": task, **found}},
        "group_subtasks": {task: []},
        "configs": {
            task: {
                "task": task, "output_type": "generate_until", "num_fewshot": 0, "repeats": sampling.n,
                "metric_list": [
                    {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in metrics
                ],
                "generation_kwargs": _drawn(sampling),
            }
        },
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "higher_is_better": {task: dict.fromkeys(metrics, True)},
        "n-samples": {task: {"original": len(rows), "effective": len(rows)}},
        "config": {"model": "r1kit", "model_args": {"pretrained": line["model"]}, "limit": None, **about},
        "task_hashes": {task: _hash(hashes)},
        "model_name": line["model"],
        "model_name_sanitized": _UNSAFE.sub("__", line["model"]),
        "date": time.time(),
        "r1kit": {"version": __version__, **line},
    }  # fmt: skip


def _mean(values: Sequence[float], metric: str) -> dict[str, Any]:
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values)
    error = math.sqrt(spread / (len(values) - 1) / len(values)) if len(values) > 1 else "N/A"
    return {f"{metric},{FILTER}": mean, f"{metric}_stderr,{FILTER}": error}


def _drawn(sampling: Sampling) -> dict[str, Any]:
    return {
        "until": list(sampling.stop), "max_gen_toks": sampling.max_tokens, "do_sample": sampling.temperature > 0,
        "temperature": sampling.temperature, "top_p": sampling.top_p,
    }  # fmt: skip


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
