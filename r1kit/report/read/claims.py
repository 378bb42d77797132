"""Does the run have the paper's shape? Differences between checkpoints with intervals, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from r1kit.report.read.paper import move
from r1kit.report.read.stage_table import Difference, StageTable, paired_change
from r1kit.report.read.values import Row, interval_of, number
from r1kit.report.read.wording import signed

__all__ = ["Claim", "claims", "difference"]

Verdict = Literal["holds", "does not hold", "not clear"]
ENDS = {"avg_at_k": "interval", "language_consistency": "language_interval"}
"""Numbers that come with an interval of their own, and its name."""
MARGIN = 0.05
"""A loss of accuracy up to here counts as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    text: str
    paper: str
    """What the paper's own numbers did."""
    found: str
    """The difference here."""
    verdict: Verdict


def difference(table: StageTable, tasks: Sequence[str], key: str, old: str, new: str) -> Difference | None:
    """Mean over the tasks that both checkpoints were evaluated on; None where there is none, or no interval.

    Accuracies are paired by problem where the evaluation did so (``change``). Else the two are taken as independent,
    which on the same problems makes the interval too wide rather than too narrow; a share without an interval of its
    own gets the widest one that its mean allows, a problem counting as one draw.
    """
    values, spread = [], 0.0
    for task in tasks:
        before, after = table.row(old, task), table.row(new, task)
        if key == "avg_at_k" and (paired := paired_change(table, task, old, new)):
            values.append(paired.value)
            spread += (paired.high - paired.low) ** 2 / 4
            continue
        pair = [number(row, key) for row in (before, after)]
        halves = [_half(row, key) for row in (before, after)]
        if pair[0] is None or pair[1] is None or halves[0] is None or halves[1] is None:
            continue
        values.append(pair[1] - pair[0])
        spread += halves[0] ** 2 + halves[1] ** 2
    if not values:
        return None
    mean, half = sum(values) / len(values), math.sqrt(spread) / len(values)
    return Difference(value=mean, low=mean - half, high=mean + half)


def _half(row: Row, key: str) -> float | None:
    """Half of the 95% interval of a number; None where nothing says how wide it is."""
    ends = interval_of(row, ENDS[key]) if key in ENDS else None
    if ends is not None:
        return (ends[1] - ends[0]) / 2
    value, problems = number(row, key), number(row, "problems")
    if value is None or not problems or not 0 <= value <= 1:
        return None
    return 1.96 * math.sqrt(value * (1 - value) / problems)


def _moved(found: Difference | None, *, up: bool) -> Verdict:
    if found is None:
        return "not clear"
    low, high = (found.low, found.high) if up else (-found.high, -found.low)
    return "holds" if low > 0 else "does not hold" if high < 0 else "not clear"


def _kept(found: Difference | None) -> Verdict:
    """Not lower by more than ``MARGIN``."""
    if found is None:
        return "not clear"
    return "holds" if found.low > -MARGIN else "does not hold" if found.high < -MARGIN else "not clear"


def _measured(table: StageTable, what: str, old: str, new: str, found: Difference | None) -> str:
    """``accuracy, R1-Zero to Dev1: −.12 [−.16, −.08]``"""
    head = f"{what}, {table.alias(old)} to {table.alias(new)}"
    if found is None:
        return f"{head}: not measured"
    return f"{head}: {signed(found.value)} [{signed(found.low, 2)}, {signed(found.high, 2)}]"


RULES: Sequence[tuple[str, str, str, str, str, str, str]] = (
    # claim, the paper's numbers, quantity, tasks, kinds of the stages it goes from and to, direction
    ("RL alone teaches the base to reason", "AIME 2024 15.6 → 71.0 (77.9 in v2)", "avg_at_k", "reasoning", "pretrain",
     "r1_zero", "up"),
    ("R1-Zero mixes languages", "said, not measured", "language_consistency", "reasoning",
     "pretrain", "r1_zero", "down"),
    ("cold start costs reasoning", move("AIME 2024 pass@1", "R1-Zero", "Dev1"), "avg_at_k", "reasoning", "r1_zero",
     "cold_start_sft", "down"),
    ("cold start mends the language", "said, not measured", "language_consistency", "reasoning", "r1_zero",
     "cold_start_sft", "up"),
    ("cold start mends the form", move("IF-Eval strict", "R1-Zero", "Dev1"), "format_rate", "reasoning", "r1_zero",
     "cold_start_sft", "up"),
    ("reasoning RL recovers reasoning", move("AIME 2024 pass@1", "Dev1", "Dev2"), "avg_at_k", "reasoning",
     "cold_start_sft", "reasoning_rl", "up"),
    ("the second SFT adds general skill", move("AlpacaEval 2 LC", "Dev2", "Dev3"), "avg_at_k", "replies",
     "reasoning_rl", "sft", "up"),
    ("RL for all scenarios moves what is preferred", move("AlpacaEval 2 LC", "Dev3", "R1"), "avg_at_k", "replies",
     "sft", "all_scenarios_rl", "up"),
    ("and costs no reasoning", move("MATH-500", "Dev3", "R1"), "avg_at_k", "reasoning", "sft", "all_scenarios_rl",
     "kept"),
)  # fmt: skip
NAMES = {"avg_at_k": "accuracy", "language_consistency": "language consistency", "format_rate": "format"}


def claims(table: StageTable) -> list[Claim]:
    """The paper's shape, claim by claim, where both checkpoints of a claim were evaluated."""
    found = []
    for text, paper, key, about, from_kind, to_kind, direction in RULES:
        old, new = table.of_kind(from_kind), table.of_kind(to_kind)
        tasks = table.reasoning if about == "reasoning" else table.replies
        if old is None or new is None or not tasks:
            continue
        moved = difference(table, tasks, key, old, new)
        verdict = _kept(moved) if direction == "kept" else _moved(moved, up=direction == "up")
        what = NAMES[key] if about == "reasoning" else "good replies"
        found.append(Claim(text=text, paper=paper, found=_measured(table, what, old, new, moved), verdict=verdict))
    return found
