"""Read ``eval.jsonl`` back as curves: what the report draws and ``r1 run`` prints (R1 paper, figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Curve", "curve", "gain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One number of one task over training steps."""

    task: str
    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Lower ends of the intervals; empty if the number has none."""
    high: tuple[float, ...] = ()


_INTERVALS = {"avg_at_k": "interval", "cons_at_k": "cons_interval"}


def curve(lines: Sequence[Mapping[str, Any]], task: str, name: str) -> Curve:
    """The curve of ``name`` (a key of an evaluation line) for ``task``, by step.

    Lines where it is missing or undefined are left out. Of two lines with the same step the later one holds: a resumed
    run may write a step again.
    """
    chosen = {int(line["step"]): line for line in lines if line.get("task") == task and line.get(name) is not None}
    steps = sorted(chosen)
    bounds = [chosen[step].get(_INTERVALS.get(name, "")) for step in steps]
    known = bool(bounds) and all(bound is not None for bound in bounds)
    return Curve(
        task=task,
        name=name,
        steps=tuple(steps),
        values=tuple(float(chosen[step][name]) for step in steps),
        low=tuple(float(bound[0]) for bound in bounds if bound is not None) if known else (),
        high=tuple(float(bound[1]) for bound in bounds if bound is not None) if known else (),
    )


def gain(line: Curve) -> float:
    """Last value minus first; 0 for a curve of fewer than two points."""
    return line.values[-1] - line.values[0] if len(line.values) > 1 else 0.0
