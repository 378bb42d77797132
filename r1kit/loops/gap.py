"""Whether the engine samples from the weights that it was handed: its log-probs beside the learner's.

Before a step learns, the completions of one group are looked at with the learner's present weights. Where both are
right the difference is rounding: 1e-6 to 1e-5 nats a token in float32, some .05 in bfloat16. Whatever goes wrong
between them shows here and nowhere else: a hand-over that left old weights behind, a cache of them, another
temperature, log-probs of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.errors import R1Error
from r1kit.records import Group
from r1kit.update.learner import Batch, Learner, Row, shares

__all__ = ["check_gap", "engine_gaps"]

STALE = 1.0
"""Nats a token that are allowed in any case to completions of older weights, which updates lie between."""


class _Told(NamedTuple):
    """Of one group."""

    gap: float
    prompt: str
    stale: bool


def engine_gaps(groups: Sequence[Group], learner: Learner, sharded: bool = False) -> list[float]:
    """Mean absolute difference between the engine's log-probs of each group and the learner's, in nats a token.

    Every rank calls it; ``sharded``: with groups of its own, or none.
    """
    rows = [
        Row(prompt=place, tokens=torch.tensor(one.token_ids), weight=1.0)
        for place, group in enumerate(groups)
        for one in group.completions
    ]
    prompts = [torch.tensor(group.prompt_ids) for group in groups]
    found = iter(learner.logprobs(Batch(prompts=prompts, rows=rows, sharded=sharded)))
    gaps = []
    for group in groups:
        off = [(next(found) - torch.tensor(one.logprobs)).abs() for one in group.completions]
        gaps.append(float(torch.cat(off).mean()))
    return gaps


def check_gap(
    groups: Sequence[Group], learner: Learner, version: int, most: float, ranks: Ranks | None = None
) -> float:
    """The largest ``engine_gaps`` of a group from each rank's engine, fresh ones before stale; every rank calls it.

    Args:
        groups: of the step, dealt to the ranks in turn, or this rank's own where the learner shares.
        learner: with the weights of ``version``.
        version: that the engine was handed last.
        most: that is let pass; 0: any.
        ranks: of the run.

    Raises:
        R1Error: it is above ``most``, or is not a number.
    """
    ranks, sharded = ranks or Solo(), shares(learner)
    ordered = sorted(groups, key=lambda group: _is_stale(group, version))[: 1 if sharded else ranks.size]
    told = [
        _Told(gap, group.prompt.id, _is_stale(group, version))
        for gap, group in zip(engine_gaps(ordered, learner, sharded), ordered, strict=True)
    ]
    if sharded:
        told = [one for each in ranks.gather_objects(told) for one in each]
    for gap, prompt, stale in told:
        bound = max(most, STALE) if stale else most
        if most and not gap <= bound:
            raise R1Error(
                f"the engine's log-probs of {prompt} are {gap:.3g} nats a token off the learner's, more than max_gap = "
                f"{bound:g}: it does not sample from the weights that it was handed (old weights or their cache, "
                f"another temperature, or log-probs before it); nothing was learnt from this step"
            )
    return max(one.gap for one in told)


def _is_stale(group: Group, version: int) -> bool:
    return any(one.version != version for one in group.completions)
