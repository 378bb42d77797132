"""Language consistency over the RL stages, with the language reward and, where a run tried it, without."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.report import chain_figures, html
from r1kit.report.chain_figures import Trend
from r1kit.report.findings import main_curves, share
from r1kit.report.run_folder import RunFolder, StageFolder, mapping, number

__all__ = ["language_weight", "section"]

STAGES = ("r1_zero", "reasoning_rl", "all_scenarios_rl")


def language_weight(run: RunFolder, stage: str) -> float | None:
    """Weight of language consistency in the stage's reward; None where the recipe does not say."""
    return number(mapping(run.settings(stage).get("reward")), "language")


def section(run: RunFolder, without: RunFolder | None = None) -> str:
    """The curve and its ends.

    Args:
        without: another run, whose reasoning RL was paid nothing for the language: the ablation.
    """
    held = [(stage, run, False) for name in STAGES if (stage := run.stage(name)) is not None]
    other = without.stage("reasoning_rl") if without is not None else None
    if without is not None and other is not None and not language_weight(without, other.name):
        held.append((other, without, True))
    trends = [_trend(stage, of, run.preference_tasks, dashed=dashed) for stage, of, dashed in held]
    figure = chain_figures.consistency_over_steps([t for t in trends if t.judged or t.training])
    rows = [html.GridRow(name=trend.name, cells=_ends(trend)) for trend in trends if len(trend.judged) > 1]
    if figure is None:
        return ""
    text = (
        "Share of the chain's words in the question's language: running mean over training samples, and held-out "
        "reasoning problems (mean over tasks). Each stage starts at its own step 0. The paper (v2, B.6) finds that "
        "consistency decays during RL without the reward and holds with it, at a slight cost in accuracy."
    )
    table = html.grid(("before", "after", "accuracy before", "accuracy after"), rows) if rows else ""
    return html.figure(figure, html.caption("Language consistency during reinforcement learning.", text)) + table


def _trend(stage: StageFolder, run: RunFolder, leave_out: Sequence[str], *, dashed: bool) -> Trend:
    weight = language_weight(run, stage.name)
    said = "" if weight is None else " (not rewarded)" if weight == 0 else f" (reward weight {weight:g})"
    training = [row for row in stage.metrics if number(row, "language") is not None]
    return Trend(
        name=f"{stage.title}{said}",
        training=training,
        judged=_means(stage, leave_out, "language_consistency"),
        accuracy=_means(stage, leave_out, "avg_at_k"),
        dashed=dashed,
    )


def _means(stage: StageFolder, leave_out: Sequence[str], key: str) -> list[tuple[float, float]]:
    """(step, mean over the reasoning tasks) of the stage's evaluations, at the steps that judged all of them."""
    drawn = [curve for curve in main_curves(stage) if curve.task not in leave_out]
    held: dict[float, list[float]] = {}
    for curve in drawn:
        for row in curve.rows:
            if (value := number(row, key)) is not None:
                held.setdefault(float(row["step"]), []).append(value)
    return sorted((step, sum(values) / len(values)) for step, values in held.items() if len(values) == len(drawn))


def _ends(trend: Trend) -> list[str]:
    accuracy = trend.accuracy or [(0.0, float("nan"))]
    ends = (trend.judged[0][1], trend.judged[-1][1], accuracy[0][1], accuracy[-1][1])
    return [share(value) if value == value else "–" for value in ends]
