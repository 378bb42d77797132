"""Whether the engine samples from the weights that it was handed: its log-probs beside the learner's.

Before a step learns, the completions of one group are looked at with the learner's present weights. Where both are
right the difference is rounding: 1e-6 to 1e-5 nats a token in float32, some .05 in bfloat16. Whatever goes wrong
between them shows here and nowhere else: a hand-over that left old weights behind, a cache of them, another
temperature, log-probs of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from r1kit.errors import R1Error
from r1kit.records import Group
from r1kit.update.learner import Batch, Learner, Row

__all__ = ["check_gap", "engine_gap"]

STALE = 1.0
"""Nats a token that are allowed in any case to completions of older weights, which updates lie between."""


def engine_gap(group: Group, learner: Learner) -> float:
    """Mean absolute difference between the engine's log-probs of a group and the learner's, in nats a token."""
    rows = [Row(prompt=0, tokens=torch.tensor(one.token_ids), weight=1.0) for one in group.completions]
    found = torch.cat(learner.logprobs(Batch(prompts=[torch.tensor(group.prompt_ids)], rows=rows)))
    said = torch.tensor([value for one in group.completions for value in one.logprobs])
    return float((found - said).abs().mean())


def check_gap(groups: Sequence[Group], learner: Learner, version: int, most: float) -> float:
    """``engine_gap`` of the first group of ``version``, or of the first, where none is; every rank calls it.

    Raises:
        R1Error: it is above ``most`` (0: any is let pass), or is not a number.
    """
    fresh = (group for group in groups if all(one.version == version for one in group.completions))
    group = next(fresh, groups[0])
    gap = engine_gap(group, learner)
    stale = any(one.version != version for one in group.completions)
    bound = max(most, STALE) if stale else most
    if most and not gap <= bound:
        raise R1Error(
            f"the engine's log-probs of {group.prompt.id} are {gap:.3g} nats a token off the learner's, more than "
            f"max_gap = {bound:g}: it does not sample from the weights that it was handed (old weights or their cache, "
            f"another temperature, or log-probs before it); nothing was learnt from this step"
        )
    return gap
