"""The cap on the length of completions, raised during a stage. No torch here: ``r1 check`` reads this.

The paper raised its own once, from 32,768 to 65,536 tokens after update 8.2k, rollout 512 of 650 (v2, 3.2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from r1kit.errors import InputError
from r1kit.records import Sampling

if TYPE_CHECKING:
    from r1kit.loops.settings import RL

__all__ = ["Shorter", "capped", "check_shorter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shorter:
    """A lower cap on the length of completions for the first steps of a stage."""

    until: int
    """Steps of the stage, from its first, that it holds for."""
    max_tokens: int
    """Longest completion in these steps, in tokens."""


def capped(sampling: Sampling, shorter: Sequence[Shorter], step: int) -> Sampling:
    """How the completions of a step, from 0, are drawn."""
    caps = (one.max_tokens for one in shorter if step < one.until)
    return replace(sampling, max_tokens=next(caps, sampling.max_tokens))


def check_shorter(config: RL, stage: str) -> None:
    """Lower caps rise from one to the next, and end before the stage does."""
    where = f"stages.{stage}.shorter"
    ends = [(0, 0), *((one.until, one.max_tokens) for one in config.shorter)]
    ends.append((config.steps, config.sampling.max_tokens))
    if config.shorter and any(a >= b or m >= n for (a, m), (b, n) in pairwise(ends)):
        raise InputError(
            f"{where} = {[(one.until, one.max_tokens) for one in config.shorter]} (until, max_tokens): both must rise "
            f"from one to the next, and stay above 0 and below steps = {config.steps} and sampling.max_tokens = "
            f"{config.sampling.max_tokens}"
        )
    if config.shorter and "overlong" in config.reward.parts:
        raise InputError(f"{where}: the part overlong of the reward counts towards one cap; leave one of the two out")
