"""What each stage cost: seconds, tokens, operations."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import number

__all__ = ["Cost", "costs"]

COUNTED = ("trained_tokens", "sampled_tokens", "evaluated_tokens", "training_flops", "evaluation_flops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    name: str
    """Title of the stage, or ``total``."""
    seconds: float
    amounts: tuple[float, ...]
    """In the order of ``COUNTED``; 0 where nothing was counted."""

    @property
    def flops(self) -> float:
        return self.amounts[3] + self.amounts[4]


def costs(run: RunFolder) -> list[Cost]:
    """A line a stage that has begun, and the total last; empty where no stage counted anything."""
    found = [
        Cost(
            name=run.title(stage.name),
            seconds=stage.seconds or 0.0,
            amounts=tuple(number(stage.cost, key) or 0.0 for key in COUNTED),
        )
        for stage in run.stages
    ]
    if not any(any(cost.amounts) for cost in found):
        return []
    total = Cost(
        name="total",
        seconds=sum(cost.seconds for cost in found),
        amounts=tuple(sum(values) for values in zip(*(cost.amounts for cost in found), strict=True)),
    )
    return [*found, total]
