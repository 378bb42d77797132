"""What became of every prompt that an RL stage dealt: ``prompts.jsonl``, held against ``rollouts.jsonl``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r1kit.files import strict_lines

__all__ = ["FATES", "audit"]

FATES = ("learnt", "flat", "spare", "dropped", "stopped")
"""What may become of a prompt that was dealt."""


def audit(stage: Path, completions: int, max_lag: int = 0) -> list[str]:
    """What is wrong, a line each: a prompt dealt twice, learnt from twice or never accounted for; a rollout of a prompt
    that its step did not learn from, of another size than its group, empty, or too old.

    Args:
        stage: folder of an RL stage that has ended.
        completions: of a prompt, ``sampling.n``.
        max_lag: of the stage.
    """
    lines = _lines(stage / "prompts.jsonl")
    wrong: list[str] = []
    dealt: dict[int, str] = {}
    for number, name in (pair for line in lines for pair in line["dealt"]):
        if number in dealt:
            wrong.append(f"prompt {number} was dealt twice")
        dealt[number] = name
    if missing := sorted(set(range(max(dealt, default=-1) + 1)) - set(dealt)):
        wrong.append(f"prompts {missing} were never dealt, and later ones were")
    fates = Counter(number for line in lines for fate in FATES for number in line.get(fate, ()))
    wrong += [f"prompt {number} is accounted for {count} times" for number, count in fates.items() if count > 1]
    wrong += [f"prompt {number} was not dealt" for number in sorted(set(fates) - set(dealt))]
    wrong += [f"nothing became of prompt {number}" for number in sorted(set(dealt) - set(fates))]
    learnt: dict[int, Counter[str]] = defaultdict(Counter)
    for line in lines:
        learnt[line["step"]].update(dealt[number] for number in line.get("learnt", ()) if number in dealt)
    return wrong + list(_rollouts(stage / "rollouts.jsonl", learnt, completions, max_lag))


def _rollouts(path: Path, learnt: dict[int, Counter[str]], completions: int, max_lag: int) -> Iterator[str]:
    rows: Counter[tuple[int, str]] = Counter()
    for line in _lines(path):
        if line["kind"] != "train":
            continue
        step, name = line["step"], line["prompt_id"]
        rows[step, name] += 1
        if not line["tokens"]:
            yield f"step {step} learnt from an empty completion of {name}"
        if step - 1 - line["version"] > max_lag:
            yield f"step {step} learnt from {name}, which version {line['version']} wrote"
    for (step, name), count in rows.items():
        times = learnt[step][name]
        if not times or count % completions or count > times * completions:
            yield f"step {step} has {count} completions of {name}, which it learnt from {times} times"


def _lines(path: Path) -> list[dict[str, Any]]:
    return [dict(line.table) for line in strict_lines(path, "records", may_be_empty=True)]
