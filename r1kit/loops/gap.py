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
from torch import Tensor

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.errors import R1Error
from r1kit.records import Group
from r1kit.update.learner import Batch, Entropic, Learner, Row, shares

__all__ = ["Looked", "check_gap", "engine_gaps", "read_by"]

STALE = 1.0
"""Nats a token that are allowed in any case to completions of older weights, which updates lie between."""


class Looked(NamedTuple):
    """What the look at a step's groups gave."""

    gap: float
    """The largest."""
    read: dict[int, list[Tensor]]
    """Place of a group that was looked at, among those given -> of each completion what the learner read, float32
    [2, n]: its log-probs and the entropies of its distributions; [1, n] of a learner that tells no entropies."""


class _Told(NamedTuple):
    """Of one group."""

    gap: float
    prompt: str
    stale: bool


def read_by(learner: Learner, groups: Sequence[Group], sharded: bool = False) -> list[list[Tensor]]:
    """Of each completion of each group what the learner reads, see ``Looked.read``.

    Every rank calls it; ``sharded``: with groups of its own, or none.
    """
    rows = [
        Row(prompt=place, tokens=torch.tensor(one.token_ids), weight=1.0, experts=one.experts)
        for place, group in enumerate(groups)
        for one in group.completions
    ]
    prompts = [torch.tensor(group.prompt_ids) for group in groups]
    batch = Batch(prompts=prompts, rows=rows, sharded=sharded)
    if isinstance(learner, Entropic):
        found = iter(learner.logprobs_and_entropies(batch))
    else:
        found = iter([own[None] for own in learner.logprobs(batch)])
    return [[next(found) for _ in group.completions] for group in groups]


def engine_gaps(groups: Sequence[Group], read: Sequence[Sequence[Tensor]]) -> list[float]:
    """Mean absolute difference between the engine's log-probs of each group and the learner's, in nats a token."""
    gaps = []
    for group, own in zip(groups, read, strict=True):
        off = [(mine[0] - torch.tensor(one.logprobs)).abs() for one, mine in zip(group.completions, own, strict=True)]
        gaps.append(float(torch.cat(off).mean()))
    return gaps


def check_gap(
    groups: Sequence[Group], learner: Learner, version: int, most: float, ranks: Ranks | None = None,
    also: Sequence[int] | None = None,
) -> Looked:  # fmt: skip
    """Look at a group from each rank's engine, fresh ones before stale; every rank calls it.

    Args:
        groups: of the step, dealt to the ranks in turn, or this rank's own where the learner shares.
        learner: with the weights of ``version``.
        version: that the engine was handed last.
        most: that is let pass; 0: any.
        ranks: of the run.
        also: places of groups to read besides, in a pass of its own; None, on all ranks alike: there is none.

    Raises:
        R1Error: it is above ``most``, or is not a number.
    """
    ranks, sharded = ranks or Solo(), shares(learner)
    stale = [_is_stale(group, version) for group in groups]
    ordered = sorted(range(len(groups)), key=stale.__getitem__)[: 1 if sharded else ranks.size]
    chosen = [groups[at] for at in ordered]
    found = read_by(learner, chosen, sharded)
    gaps = zip(engine_gaps(chosen, found), ordered, strict=True)
    told = [_Told(gap, groups[at].prompt.id, stale[at]) for gap, at in gaps]
    read = dict(zip(ordered, found, strict=True))
    if sharded:
        told = [one for each in ranks.gather_objects(told) for one in each]
    for gap, prompt, is_stale in told:
        bound = max(most, STALE) if is_stale else most
        if most and not gap <= bound:
            raise R1Error(
                f"the engine's log-probs of {prompt} are {gap:.3g} nats a token off the learner's, more than max_gap = "
                f"{bound:g}: it does not sample from the weights that it was handed (old weights or their cache, "
                f"another temperature, or log-probs before it); nothing was learnt from this step"
            )
    if also is not None:
        more = [at for at in also if at not in read]
        read |= zip(more, read_by(learner, [groups[at] for at in more], sharded), strict=True)
    return Looked(max(one.gap for one in told), read)


def _is_stale(group: Group, version: int) -> bool:
    return any(one.version != version for one in group.completions)
