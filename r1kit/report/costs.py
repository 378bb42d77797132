"""What each stage cost: seconds, tokens, operations."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.report import html
from r1kit.report.findings import duration
from r1kit.report.run_folder import RunFolder, number

__all__ = ["Cost", "costs", "section"]

KEYS = ("trained_tokens", "sampled_tokens", "evaluated_tokens", "training_flops", "evaluation_flops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    name: str
    """Title of the stage, or ``total``."""
    seconds: float
    amounts: tuple[float, ...]
    """In the order of ``KEYS``; 0 where nothing was counted."""

    @property
    def flops(self) -> float:
        return self.amounts[3] + self.amounts[4]


def costs(run: RunFolder) -> list[Cost]:
    """A line a stage that has begun, and the total last; empty where no stage counted anything."""
    found = [
        Cost(
            name=stage.title,
            seconds=stage.seconds or 0.0,
            amounts=tuple(number(stage.cost, key) or 0.0 for key in KEYS),
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


def section(run: RunFolder) -> str:
    """The table of costs, with shares; nothing where nothing was counted."""
    found = costs(run)
    if not found:
        return ""
    total = found[-1]
    heads = (
        "time",
        "",
        "tokens learnt",
        "tokens sampled",
        "tokens evaluated",
        "training FLOPs",
        "evaluation FLOPs",
        "",
    )
    rows = [html.GridRow(name=cost.name, cells=_cells(cost, total)) for cost in found]
    text = (
        "Time is of steps and evaluations, without what was lost to a kill; a percentage is of the whole chain. "
        "FLOPs are 6 for each weight and token learnt, 2 for each sampled; prompts and attention are "
        "left out. Training counts learning and the sampling it needs."
    )
    return html.grid(heads, rows, bars=(1, 7), total=True) + html.paragraph(text, "caption")


def _cells(cost: Cost, total: Cost) -> list[str]:
    amounts = [_amount(value) for value in cost.amounts]
    return [duration(cost.seconds), _part(cost.seconds, total.seconds), *amounts, _part(cost.flops, total.flops)]


def _part(value: float, whole: float) -> str:
    return f"{100 * value / whole:.0f}%" if whole else ""


def _amount(value: float) -> str:
    """``1.24 M``, ``3.1e12`` as ``3.10 T``; empty for nothing."""
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}" if value else "–"
