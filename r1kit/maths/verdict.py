"""A judge's verdicts on two responses as numbers. No torch: the data factory reads this."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["VERDICTS", "mean_over_orders", "verdict_value"]

VERDICTS = {"A>>B": 2, "A>B": 1, "A=B": 0, "B>A": -1, "B>>A": -2}
"""Arena-Hard's five verdicts -> how much better A is. The paper does not state its numbers; these are ours."""

_VERDICT = re.compile(r"\[\[\s*([AB](?:>>|>|=)[AB])\s*\]\]")


def verdict_value(text: str) -> int | None:
    """How much better A is than B, -2 to 2, by the last verdict in the text; None if there is none."""
    found = [_spelled(verdict) for verdict in _VERDICT.findall(text)]
    known = [verdict for verdict in found if verdict in VERDICTS]
    return VERDICTS[known[-1]] if known else None


def _spelled(verdict: str) -> str:
    return "A=B" if verdict == "B=A" else verdict


def mean_over_orders(values: Sequence[int | None], swapped: Sequence[bool]) -> float | None:
    """How much better the first response is, over judgements of both orders; what favours a place cancels out.

    Args:
        values: how much better A is, of each judgement; None where the judge gave no verdict, which does not count.
        swapped: whether the first response was shown as B.

    Returns:
        The mean of the two orders' means; None unless there is a verdict in each order that was asked.
    """
    means = []
    for order in sorted(set(swapped)):
        signed = [-v if s else v for v, s in zip(values, swapped, strict=True) if s is order and v is not None]
        if not signed:
            return None
        means.append(sum(signed) / len(signed))
    return sum(means) / len(means) if means else None
