"""What ``r1 eval`` says of an evaluation: one line of numbers, in words, and against another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, first_line
from r1kit.evals.evaluator import Evaluation
from r1kit.evals.interval import mean_interval, paired_difference
from r1kit.evals.numbers import numbers, outcomes
from r1kit.evals.settings import EvaluationConfig
from r1kit.records import Prompt
from r1kit.rollout.sample import unanswered

__all__ = ["against", "asked_of", "difference", "evaluation_line", "read_line", "spelled"]


def asked_of(prompts: Sequence[Prompt]) -> str:
    """16 hex digits of what is asked and what is right: two evaluations with the same are of the same problems."""
    turns = ([[turn.role, turn.content] for turn in prompt.history or ()] for prompt in prompts)
    found = [
        [prompt.question, prompt.answer, *([before] if before else []), *prompt.also]
        for prompt, before in zip(prompts, turns, strict=True)
    ]
    text = json.dumps(found, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def evaluation_line(found: Evaluation, config: EvaluationConfig) -> dict[str, Any]:
    """The fields of ``eval.jsonl``, the interval of pass@k, how completions were drawn, and what was asked."""
    metrics = numbers(
        found.groups, found.scores, found.diagnostics, config.budgets, resamples=config.resamples, seed=config.seed
    )
    arrays = outcomes(found.groups, found.scores)
    passed = mean_interval(arrays.right.max(axis=1), arrays.clusters, config.resamples, config.seed)
    drawn = {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": config.max_tokens}
    asked = asked_of([group.prompt for group in found.groups])
    long = sum(bool(group.prompt_ids) and unanswered(group) for group in found.groups)  # nobody renders one elsewhere
    left_out = {"long_prompts": long} if long else {}
    return {**metrics, "pass_interval": [passed.low, passed.high], **drawn, "asked": asked, **left_out}


def spelled(line: Mapping[str, Any]) -> str:
    """What the terminal says."""
    k = line["k"]
    rows = [
        f"{name}@{k}".ljust(9) + f"{line[key]:.3f}  [{line[interval][0]:.3f}, {line[interval][1]:.3f}]"
        for name, key, interval in (
            ("avg", "avg_at_k", "interval"),
            ("cons", "cons_at_k", "cons_interval"),
            ("pass", "pass_at_k", "pass_interval"),
        )
        if line[key] is not None  # as of a task that grades nothing
    ]
    head = (
        f"{line['model']} on {line['task']} ({line['split']}): {line['problems']} problems x {k}, temperature "
        f"{line['temperature']:g}, top-p {line['top_p']:g}, at most {line['max_tokens']} tokens"
    )
    tail = (
        f"{line['response_tokens']:.1f} tokens a response, format {line['format_rate']:.3f}, "
        f"cut short {line['truncated_share']:.3f}, not judged {line['failed_share']:.3f}"
    )
    left_out = [
        f"{long} of {line['problems']} prompts leave no room for {line['max_tokens']} tokens in the model's positions: "
        "they were not asked and count as wrong; say a smaller --max-tokens"
        for long in [line.get("long_prompts")]
        if long
    ]
    return "\n".join((head, *rows, tail, *left_out))


def read_line(path: Path) -> dict[str, Any]:
    """What ``r1 eval --json`` wrote. Raises InputError for anything else."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; r1 eval --json FILE writes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as what 'r1 eval --json' writes: {first_line(error)}") from None
    if not isinstance(table, dict) or not _is_a_line(table):
        raise InputError(f"{path}: not what 'r1 eval --json' writes; evaluate the other model with --json FILE first")
    return table


def _is_a_line(table: Mapping[str, Any]) -> bool:
    """Whether it has what ``against`` reads, as ``r1 eval --json`` writes it."""
    if not {"per_problem", "problems", "avg_at_k", "asked", "model", "task", "k"} <= set(table):
        return False
    accuracies = [table["avg_at_k"], *(table["per_problem"] if isinstance(table["per_problem"], list) else [None])]
    if table["avg_at_k"] is None:  # a task that grades nothing
        return True
    numbers = all(isinstance(one, (int, float)) and 0 <= one <= 1 for one in accuracies)
    return numbers and len(accuracies) == 1 + table["problems"]


def against(line: Mapping[str, Any], other: Mapping[str, Any], clusters: Sequence[str]) -> dict[str, Any]:
    """``line - other`` in avg@k, paired by problem.

    Raises:
        InputError: they are not of the same problems, or nothing was graded.
    """
    if line["asked"] != other["asked"]:
        raise InputError(
            f"{other['model']} was asked other problems ({other['task']}, {other['problems']} of them) than "
            f"{line['model']} ({line['task']}, {line['problems']}); judge both with the same --task, --limit, --split"
        )
    if line["avg_at_k"] is None or other["avg_at_k"] is None:
        raise InputError(f"task {line['task']!r} grades nothing, so there is no accuracy to compare")
    found = paired_difference(line["per_problem"], other["per_problem"], clusters)
    return {"model": other["model"], "k": other["k"], "avg_at_k": other["avg_at_k"], **found}


def difference(line: Mapping[str, Any], other: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What the terminal says of ``against``; first where answers are taken out of the two's texts in different ways."""
    low, high = found["interval"]
    said = (
        f"{line['model']} - {other['model']}: {found['difference']:+.3f}  [{low:+.3f}, {high:+.3f}], "
        f"paired by problem ({found['problems']})"
    )
    one, two = line.get("answer_style"), other.get("answer_style")
    if one == two or None in (one, two):
        return said
    return (
        f"note: answers of {line['model']} are read by {one} and those of {other['model']} by {two}, as their stages "
        f"have it; --answer-style {one} reads both alike\n{said}"
    )
