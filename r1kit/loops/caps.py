"""The cap on the length of completions, raised during a stage. No torch here: ``r1 check`` reads this.

The paper raised its own once, from 32,768 to 65,536 tokens after update 8.2k, rollout 512 of 650 (v2, 3.2.1).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from r1kit.errors import InputError
from r1kit.records import Sampling

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


def check_shorter(
    shorter: Sequence[Shorter], steps: int, sampling: Sampling, parts: Container[str], stage: str
) -> None:
    """Lower caps rise from one to the next, and end before the stage does; ``parts``: of its reward."""
    ends = [(0, 0), *((one.until, one.max_tokens) for one in shorter), (steps, sampling.max_tokens)]
    if shorter and any(a >= b or m >= n for (a, m), (b, n) in pairwise(ends)):
        raise InputError(
            f"stages.{stage}.shorter = {ends[1:-1]} (until, max_tokens): both must rise from one to the next, and stay "
            f"above 0 and below steps = {steps} and sampling.max_tokens = {sampling.max_tokens}"
        )
    if shorter and "overlong" in parts:
        raise InputError(
            f"stages.{stage}.shorter: the part overlong of the reward counts towards one cap; leave one of the two out"
        )
