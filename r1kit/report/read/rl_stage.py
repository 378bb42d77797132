"""What an RL stage shows: before and after, curves, samples, and all that its steps logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.evaluations import Comparison, Curve, compare, curves, main_curves
from r1kit.report.read.replies import Pair
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_verdict import progress
from r1kit.report.read.series import Series, all_series, constants, series
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number

__all__ = ["RLStage", "StageLines", "rl_stage", "stage_lines", "words_of"]

RUNGS = {
    "block": "a program is there",
    "lint": "it is Python",
    "runs": "it runs",
    "tests_passed": "share of tests passed",
    "answer_right": "all tests passed",
}
"""Diagnostic of a code task -> what it says of a program, from the lowest rung of the ladder to the highest."""
MOST_AHA = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RLStage:
    name: str
    kind: str
    title: str
    is_rl: bool
    """False of a stage that was evaluated before and after but sampled nothing to learn from."""
    sides: tuple[str, str]
    """Names of before and after: ``base`` and ``R1-Zero`` (with its step while it is unfinished)."""
    comparisons: Sequence[Comparison]
    curves: Sequence[Curve]
    """One for each task."""
    tests: Sequence[Curve]
    """Evaluations on the test split, where the task's curve is of another one."""
    metrics: Mapping[str, Series]
    """Field of ``metrics.jsonl`` -> its line."""
    constants: Mapping[str, float]
    """Fields that never change."""
    pairs: Sequence[Pair]
    aha: Sequence[Row]
    """Candidates for the paper's aha moment: ``question``, ``turns``, ``word``, ``excerpt``."""
    words: Sequence[str]
    """Reflective words that the evaluations count."""

    @property
    def steps_logged(self) -> int:
        """Points of the longest line; a long log has more steps than its lines have points."""
        return max((len(line) for line in self.metrics.values()), default=0)

    @property
    def programs(self) -> list[Curve]:
        """Curves of tasks whose answers are programs that climb the ladder."""
        return [
            curve
            for curve in self.curves
            if any(number(mapping(row.get("diagnostics")), "runs") is not None for row in curve.rows)
        ]

    def drawn(self, leave_out: Sequence[str]) -> tuple[list[Curve], list[Curve]]:
        """Curves and test points without some tasks; none where no task was evaluated twice."""
        drawn, tests = ([c for c in held if c.task not in leave_out] for held in (self.curves, self.tests))
        return (drawn, tests) if any(len(curve.rows) > 1 for curve in drawn) else ([], [])


def rl_stage(run: RunFolder, stage: StageFolder, *, samples: bool = True) -> RLStage:
    """
    Args:
        samples: whether ``pairs`` are looked for, for which all of ``rollouts.jsonl`` is read.
    """
    comparisons, main, rows = compare(stage.evals), main_curves(stage.evals), stage.metrics
    title, kind = run.title(stage.name), run.kind(stage.name)
    return RLStage(
        name=stage.name,
        kind=kind,
        title=title,
        is_rl=run.is_rl(stage),
        sides=(
            "base" if kind == "r1_zero" else "before",
            title if stage.done else f"{title}, {progress(run, stage)}",
        ),
        comparisons=comparisons,
        curves=main,
        tests=[curve for curve in curves(stage.evals) if curve.split == "test" and curve not in main],
        metrics=all_series(rows),
        constants=constants(rows),
        pairs=stage.rollouts.pairs() if samples else [],
        aha=stage.aha[:MOST_AHA],
        words=words_of(comparisons),
    )


def words_of(comparisons: Sequence[Comparison]) -> list[str]:
    """Reflective words that the evaluations count."""
    counted = (mapping(row.get("reflection_words")) for item in comparisons for row in (item.before, item.after))
    return list(dict.fromkeys(str(word) for words in counted for word in words))


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
