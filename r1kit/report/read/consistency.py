"""Language consistency over the RL stages, with the language reward and, where a run tried it, without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.report.read.evaluations import main_curves
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.series import Series, series
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number

__all__ = ["Trend", "trends"]

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One RL stage."""

    name: str
    weight: float | None
    """Of language consistency in the stage's reward; None where the recipe does not say."""
    training: Series
    """Consistency of the samples of each step."""
    evaluated: Points
    """(step, consistency) of its evaluations: the mean over reasoning tasks."""
    accuracy: Points
    """(step, accuracy) of them."""
    elsewhere: bool
    """Whether it is of the other run."""

    @property
    def ends(self) -> tuple[float | None, ...]:
        """Consistency before and after, accuracy before and after; empty without two evaluations."""
        if len(self.evaluated) < 2:
            return ()
        accuracy = (self.accuracy[0][1], self.accuracy[-1][1]) if self.accuracy else (None, None)
        return (self.evaluated[0][1], self.evaluated[-1][1], *accuracy)


def trends(run: RunFolder, without: RunFolder | None = None) -> list[Trend]:
    """Stages with anything to draw.

    Args:
        without: another run, whose reasoning RL was paid nothing for the language: the ablation.
    """
    held = [_trend(run, stage, elsewhere=False) for stage in run.rl_stages]
    if without is not None:
        others = (_trend(without, stage, elsewhere=True) for stage in without.of_kind("reasoning_rl"))
        held += [trend for trend in others if not trend.weight]
    return [trend for trend in held if trend.evaluated or len(trend.training)]


def _trend(run: RunFolder, stage: StageFolder, *, elsewhere: bool) -> Trend:
    weight = _weight(run.settings(stage.name))
    said = "" if weight is None else " (not rewarded)" if weight == 0 else f" (reward weight {weight:g})"
    return Trend(
        name=f"{run.title(stage.name)}{said}",
        weight=weight,
        training=series(stage.metrics, "language"),
        evaluated=_means(stage, run.preference_tasks, "language_consistency"),
        accuracy=_means(stage, run.preference_tasks, "avg_at_k"),
        elsewhere=elsewhere,
    )


def _weight(settings: Row) -> float | None:
    """Of language consistency in ``reward.parts``, or in ``reward`` of a run of an earlier version."""
    reward = mapping(settings.get("reward"))
    if "parts" in reward:
        return number(mapping(reward["parts"]), "language") or 0.0
    return number(reward, "language")


def _means(stage: StageFolder, leave_out: Sequence[str], key: str) -> list[tuple[float, float]]:
    """(step, mean over the reasoning tasks) of the stage's evaluations, at the steps that evaluated all of them."""
    drawn = [curve for curve in main_curves(stage.evals) if curve.task not in leave_out]
    held: dict[float, list[float]] = {}
    for curve in drawn:
        for row in curve.rows:
            if (value := number(row, key)) is not None:
                held.setdefault(float(row["step"]), []).append(value)
    return sorted((step, sum(values) / len(values)) for step, values in held.items() if len(values) == len(drawn))
