"""What an RL step writes down: means over its rollouts, and some rollouts to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from r1kit.records import Group, Score

__all__ = ["evaluation_lines", "rollout_lines", "summary"]

Line = dict[str, object]


def summary(
    groups: Sequence[Group], scores: Sequence[Sequence[Score]], advantages: Sequence[Tensor]
) -> dict[str, float]:
    """Means over a rollout's completions; ``docs/metrics.md`` explains each."""
    judged = [score for group in scores for score in group]
    completions = [completion for group in groups for completion in group.completions]
    names = sorted({name for score in judged for name in score.parts})
    abstained = Counter(name for score in judged for name in score.abstained)
    return {
        "reward": _mean([score.total for score in judged]),
        **{name: _mean(_values(judged, name)) for name in names},
        **{f"{name}_abstained": count / len(judged) for name, count in sorted(abstained.items())},
        "response_tokens": _mean([len(completion.token_ids) for completion in completions]),
        "truncated_share": _mean([completion.finish == "length" for completion in completions]),
        "flat_group_share": _mean([not bool(row.any()) for row in advantages]),
        "ungradable_share": _mean([score.status == "ungradable" for score in judged]),
        "timeout_share": _mean([score.status == "timeout" for score in judged]),
    }


def rollout_lines(
    step: int, groups: Sequence[Group], scores: Sequence[Sequence[Score]], advantages: Sequence[Tensor], count: int
) -> list[Line]:
    """The first ``count`` groups of a training step, for ``rollouts.jsonl``."""
    return [
        {**line, "advantage": float(advantage)}
        for group, judged, row in list(zip(groups, scores, advantages, strict=True))[:count]
        for line, advantage in zip(_lines(step, "train", group, judged), row, strict=True)
    ]


def evaluation_lines(
    step: int, groups: Sequence[Group], scores: Sequence[Sequence[Score]], prompts: int, each: int
) -> list[Line]:
    """The first ``each`` completions of ``prompts`` held-out prompts spread over the split: always the same ones."""
    stride = max(1, len(groups) // max(1, prompts))
    return [
        line
        for group, judged in list(zip(groups, scores, strict=True))[::stride][:prompts]
        for line in _lines(step, "evaluation", group, judged)[:each]
    ]


def _lines(step: int, kind: str, group: Group, scores: Sequence[Score]) -> list[Line]:
    return [
        {
            "step": step,
            "kind": kind,
            "prompt_id": group.prompt.id,
            "prompt": group.prompt.question,
            "completion": completion.text,
            "tokens": len(completion.token_ids),
            "finish": completion.finish,
            "reward": score.total,
            "parts": score.parts,
            "answer": score.answer,
            "status": score.status,
            "version": completion.version,
        }
        for completion, score in zip(group.completions, scores, strict=True)
    ]


def _values(scores: Sequence[Score], name: str) -> list[float]:
    """A part of every completion that has it; a reward model's counts as 0 on the tasks that none judges."""
    if name == "preference":
        return [score.parts.get(name, 0.0) for score in scores]
    return [score.parts[name] for score in scores if name in score.parts]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
