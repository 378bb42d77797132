"""What an RL step writes down: means over its rollouts, and some rollouts to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from r1kit.maths.advantage import Advantages
from r1kit.records import Completion, Group, Score

__all__ = ["Spell", "Tally", "evaluation_lines", "per_token", "rollout_lines", "summary", "tally", "with_tokens"]

Spell = Callable[[Sequence[int], str], list[str]]
"""(ids of a completion, its text) -> the text of each token."""
DIGITS = 4
"""Of nats; a gap, which is far below that where all is well, has as many that count."""


def per_token(completion: Completion, spell: Spell, read: Tensor | None = None) -> dict[str, list[str] | list[float]]:
    """One value a token under each name.

    Args:
        completion: as it was sampled.
        spell: ids as texts.
        read: float32 [2, n] or [1, n]: the learner's log-probs of the same tokens before it learnt from them, and the
            entropies of its distributions, where it gives them. None: it did not look.
    """
    found: dict[str, list[str] | list[float]] = {
        "text": spell(completion.token_ids, completion.text),
        "logprob": [round(value, DIGITS) for value in completion.logprobs],
    }
    if read is not None:
        own, *entropies = read.tolist()
        if entropies:
            found["entropy"] = [round(value, DIGITS) for value in entropies[0]]
        gaps = (learner - sampler for learner, sampler in zip(own, completion.logprobs, strict=True))
        found["gap"] = [float(f"{gap:.{DIGITS}g}") for gap in gaps]
    return found


Line = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over the groups that one rank holds; their size does not grow with the groups."""

    completions: int
    groups: int
    flat: int
    """Groups without an advantage."""
    tokens: int
    truncated: int
    reward: float
    parts: Mapping[str, tuple[float, int]]
    """Name of a part -> (sum, completions that have it)."""
    abstained: Mapping[str, int]
    ungradable: int
    timeout: int


def tally(groups: Sequence[Group], scores: Sequence[Sequence[Score]], advantages: Advantages) -> Tally:
    """What ``summary`` needs of these groups."""
    judged = [score for group in scores for score in group]
    completions = [completion for group in groups for completion in group.completions]
    names = {name for score in judged for name in score.parts}
    held = {name: [score.parts[name] for score in judged if name in score.parts] for name in names}
    return Tally(
        completions=len(completions),
        groups=len(groups),
        flat=sum(not any(bool(one.any()) for one in row) for row in advantages),
        tokens=sum(len(completion.token_ids) for completion in completions),
        truncated=sum(completion.finish == "length" for completion in completions),
        reward=sum(score.total for score in judged),
        parts={name: (sum(values), len(values)) for name, values in held.items()},
        abstained=Counter(name for score in judged for name in score.abstained),
        ungradable=sum(score.status == "ungradable" for score in judged),
        timeout=sum(score.status == "timeout" for score in judged),
    )


def summary(shares: Sequence[Tally]) -> dict[str, float]:
    """Means over a rollout's completions, tallied in one or more shares; ``docs/metrics.md`` explains each.

    A reward model's score counts as 0 on the tasks that none judges.
    """
    count = sum(share.completions for share in shares)
    parts: dict[str, float] = {}
    for name in sorted({name for share in shares for name in share.parts}):
        held = [share.parts[name] for share in shares if name in share.parts]
        parts[name] = sum(total for total, _ in held) / (count if name == "preference" else sum(n for _, n in held))
    abstained = sum((Counter(share.abstained) for share in shares), Counter())
    return {
        "reward": sum(share.reward for share in shares) / count,
        **parts,
        **{f"{name}_abstained": times / count for name, times in sorted(abstained.items())},
        "response_tokens": sum(share.tokens for share in shares) / count,
        "truncated_share": sum(share.truncated for share in shares) / count,
        "flat_group_share": sum(share.flat for share in shares) / sum(share.groups for share in shares),
        "ungradable_share": sum(share.ungradable for share in shares) / count,
        "timeout_share": sum(share.timeout for share in shares) / count,
    }


def rollout_lines(
    step: int,
    groups: Sequence[Group],
    scores: Sequence[Sequence[Score]],
    advantages: Advantages,
    count: int,
) -> list[Line]:
    """The first ``count`` groups of a training step, for ``rollouts.jsonl``; of tokens, their mean."""
    return [
        {**line, "advantage": float(advantage.mean())}
        for group, judged, row in list(zip(groups, scores, advantages, strict=True))[:count]
        for line, advantage in zip(_lines(step, "train", group, judged), row, strict=True)
    ]


def with_tokens(
    lines: Sequence[Line], groups: Sequence[Group], read: Mapping[int, Sequence[Tensor]], spell: Spell
) -> list[Line]:
    """The lines of these groups with what is kept of each token; ``read``: place of a group that the learner looked at
    -> for each completion what it read, see ``per_token``."""
    held = [
        per_token(completion, spell, read[place][at] if place in read else None)
        for place, group in enumerate(groups)
        for at, completion in enumerate(group.completions)
    ]
    return [{**line, "per_token": one} for line, one in zip(lines, held, strict=True)]


def evaluation_lines(
    step: int, groups: Sequence[Group], scores: Sequence[Sequence[Score]], prompts: int, each: int,
    spell: Spell | None = None,
) -> list[Line]:  # fmt: skip
    """The first ``each`` completions of ``prompts`` held-out prompts spread over the split: always the same ones; with
    ``spell`` each with its tokens."""
    stride = max(1, len(groups) // max(1, prompts))
    found = []
    for group, judged in list(zip(groups, scores, strict=True))[::stride][:prompts]:
        lines = _lines(step, "evaluation", group, judged)[:each]
        written = replace(group, completions=group.completions[:each])
        found += with_tokens(lines, [written], {}, spell) if spell else lines
    return found


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
            **({"cause": score.cause} if score.cause else {}),
            "version": completion.version,
            **({"spans": completion.spans} if completion.spans else {}),
        }
        for completion, score in zip(group.completions, scores, strict=True)
    ]
