"""A stage as lines over steps, to be drawn over another run's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from r1kit.report.read.evaluations import main_curves
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.series import Series, all_series, series

__all__ = ["StageLines", "stage_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLines:
    accuracy: Mapping[str, Series]
    """Task -> avg@k over evaluations."""
    metrics: Mapping[str, Series]
    """Every number that its steps log."""


def stage_lines(run: RunFolder, stage: str) -> StageLines | None:
    """Of a stage, or a part of one, by its name; None where the run has none of it."""
    found = run.curves(stage)
    if found is None:
        return None
    accuracy = {curve.task: series(curve.rows, "avg_at_k") for curve in main_curves(found.evals)}
    return StageLines(accuracy=accuracy, metrics=all_series(found.metrics))
