"""What a right answer costs: tokens of a solved problem, and of those that are easy (over-thinking: R1 paper v2, 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.records import Prompt

__all__ = ["easy_tokens", "is_easy", "solved_tokens"]

Floats = NDArray[np.float64]


def solved_tokens(right: Floats, length: Floats) -> dict[str, Any]:
    """Mean tokens of the right completions, in all and of each problem; None where there are none.

    Args:
        right: 1 where a completion is right, [problems, k].
        length: in tokens, [problems, k].
    """
    each = [float(row[hits > 0].mean()) if hits.any() else None for row, hits in zip(length, right, strict=True)]
    return {
        "solved_tokens": float(length[right > 0].mean()) if right.any() else None,
        "solved_tokens_per_problem": [None if tokens is None else round(tokens, 3) for tokens in each],
    }


def is_easy(prompts: Sequence[Prompt], rates: Sequence[float], config: EvaluationConfig) -> list[bool]:
    """Of each problem: by its own level where the config names a fact that says it, else by how often it was solved.

    Raises:
        InputError: a problem has no such number.
    """
    if not config.easy_fact:
        return [rate >= config.easy_rate for rate in rates]
    found = []
    for prompt in prompts:
        level = prompt.facts.get(config.easy_fact)
        try:
            found.append(float(str(level).removeprefix("Level ")) <= config.easy_most)
        except ValueError:
            raise InputError(
                f"evaluation.easy_fact = {config.easy_fact!r}: problem {prompt.id} of {prompt.task} has no "
                f"such number; its facts are {', '.join(prompt.facts) or 'none'}"
            ) from None
    return found


def easy_tokens(line: Mapping[str, Any], easy: Sequence[bool]) -> float | None:
    """Mean tokens of a solved easy problem, each problem counted once; None where none was solved.

    Args:
        line: of an evaluation.
        easy: which of its problems are.
    """
    each = [tokens for tokens, chosen in zip(line["solved_tokens_per_problem"], easy, strict=True) if chosen]
    known = [tokens for tokens in each if tokens is not None]
    return sum(known) / len(known) if known else None
