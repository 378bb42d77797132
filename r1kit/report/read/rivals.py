"""RL stages that start from one model and train on the same tasks, side by side: over samples, and over operations.

PPO beside GRPO (R1 paper, v2, appendix A.3), or any two settings of one kind. Whatever they cost beside training, such
as evaluations, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

from r1kit.report.read.evaluations import Curve, main_curves
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.series import Series, series
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import interval_of, mapping, number

__all__ = ["Axis", "Point", "Rival", "Rivals", "rivals"]

Axis = Literal["samples", "flops"]
LAST = 5
"""Steps at the end that a mean is taken of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An evaluation of one task."""

    samples: float
    """Completions that were learnt from before it."""
    flops: float
    """Operations that training took before it."""
    value: float
    ends: tuple[float, float] | None
    """95% interval over clusters of problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    name: str
    points: Sequence[Point]
    lengths: Series
    """Tokens in a training response, over steps."""
    gap: float | None
    """Last steps' mean of log policy - log reference of a token, or the KL estimate in the loss; None: not logged."""
    paid: float | None
    """Of these steps, what a completion was charged for the KL in all."""
    length: float | None
    """Mean of the last steps."""
    foretold: float | None
    """Explained variance of the value model, mean of the last steps."""
    seconds: float
    states: Sequence[float]
    """Bytes of weights, gradient, optimiser state and reference: of the policy, and of the value model."""
    peak: float | None
    """Most bytes of the process, or of the GPU."""

    def at(self, axis: Axis, amount: float) -> tuple[float | None, tuple[float, float] | None]:
        """Accuracy and its interval where so much has been spent, on a line between evaluations; None beyond the
        last."""
        for before, after in pairwise(self.points):
            low, high = getattr(before, axis), getattr(after, axis)
            if low <= amount <= high:
                part = (amount - low) / (high - low or 1.0)
                mixed = [a + part * (b - a) for a, b in zip(_three(before), _three(after), strict=False)]
                return mixed[0], (mixed[1], mixed[2]) if len(mixed) == 3 else None
        return None, None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Stages that stand beside each other on one task."""

    start: str
    task: str
    k: int
    held: Sequence[Rival]
    samples: float
    """Completions that all of them have learnt from: the fewest."""
    flops: float
    """Operations that all of them have taken: the fewest."""


def rivals(run: RunFolder) -> list[Rivals]:
    """One a task and group of stages; only groups of two or more that have been evaluated after their start."""
    found = []
    stages = sorted((stage for stage in run.rl_stages if stage.evals), key=lambda stage: _terms(run, stage))
    for (start, _), group in groupby(stages, key=lambda stage: _terms(run, stage)):
        held = list(group)
        curves = {stage.name: {curve.task: curve for curve in main_curves(stage.evals)} for stage in held}
        for task in dict.fromkeys(task for own in curves.values() for task in own):
            sides = [
                _rival(run, stage, curves[stage.name][task])
                for stage in sorted(held, key=lambda stage: stage.path.name)
                if task in curves[stage.name]
            ]
            sides = [one for one in sides if len(one.points) > 1 and one.points[-1].flops]
            if len(sides) > 1:
                k = next(own[task].k for own in curves.values() if task in own)
                samples, flops = (min(getattr(one.points[-1], key) for one in sides) for key in ("samples", "flops"))
                found.append(Rivals(start=start, task=task, k=k, held=sides, samples=samples, flops=flops))
    return found


def _three(point: Point) -> tuple[float, ...]:
    return (point.value, *(point.ends or ()))


def _terms(run: RunFolder, stage: StageFolder) -> tuple[str, str]:
    """What two stages must share to be compared: where they start, and the tasks that they train on."""
    settings = run.settings(stage.name)
    return str(settings.get("start", "base")), " ".join(map(str, settings.get("tasks") or ()))


def _rival(run: RunFolder, stage: StageFolder, curve: Curve) -> Rival:
    settings, rows = run.settings(stage.name), stage.metrics
    each = (number(settings, "prompts_per_step") or 0) * (number(mapping(settings.get("sampling")), "n") or 0)
    flops = {0.0: 0.0} | {float(row["step"]): number(row, "flops") or 0.0 for row in rows}
    points = [
        Point(samples=each * row["step"], flops=flops[row["step"]], value=value, ends=interval_of(row))
        for row in curve.rows
        if (value := number(row, "avg_at_k")) is not None and row["step"] in flops
    ]
    gap = _last(stage, "reference_gap")
    memory = stage.memory
    states = memory.get("states")
    each_state = [number({"state": one}, "state") for one in states] if isinstance(states, list) else []
    return Rival(
        name=stage.name,
        points=points,
        lengths=series(rows, "response_tokens"),
        gap=_last(stage, "kl") if gap is None else gap,
        paid=_last(stage, "kl_paid"),
        length=_last(stage, "response_tokens"),
        foretold=_last(stage, "explained_variance"),
        seconds=stage.seconds or 0.0,
        states=[one for one in each_state if one is not None],
        peak=number(memory, "peak") or None,
    )


def _last(stage: StageFolder, key: str) -> float | None:
    values = [value for row in stage.metrics[-LAST:] if (value := number(row, key)) is not None]
    return sum(values) / len(values) if values else None
