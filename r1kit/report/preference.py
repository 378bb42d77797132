"""Reward models on what they have not seen, and their score against the gold check during RL for all scenarios."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.report import chain_figures, html
from r1kit.report.findings import Curve, bracket, main_curves, share, short
from r1kit.report.run_folder import Row, RunFolder, mapping, number

__all__ = ["against_gold", "models"]


def models(run: RunFolder) -> str:
    """Held-out accuracy, calibration and accuracy by fault of each reward model; nothing without the stage."""
    stage = run.stage("reward_models")
    found = {str(name): mapping(row) for name, row in stage.numbers.items()} if stage is not None else {}
    found = {name: row for name, row in found.items() if number(row, "accuracy") is not None}
    if not found:
        return ""
    heads = ("accuracy", "calibration error", "held out", "trained on", "mean score", "spread of scores")
    rows = [html.GridRow(name=name, cells=_row(row)) for name, row in found.items()]
    text = (
        "On prompts that were kept out of their training: pairs ranked right (helpfulness), labels found (safety), "
        "with 95% intervals over prompts. The score is before it is brought to mean 0 and spread 1."
    )
    reliability = {name: _records(row.get("reliability")) for name, row in found.items()}
    figure = html.figure(
        chain_figures.calibration(reliability),
        html.caption(
            "Calibration.",
            "How often what was predicted with a probability came true; on the dotted line a model is as sure as it is "
            "right.",
        ),
    )
    tables = "".join(_by_fault(name, mapping(row.get("by_fault"))) for name, row in found.items())
    beside = f'<div class="pair2"><div>{figure}</div><div>{tables}</div></div>' if tables else figure
    return html.grid(heads, rows) + html.paragraph(text, "caption") + beside


def _row(row: Row) -> list[str]:
    counts = [number(row, key) for key in ("held_out", "trained")]
    return [
        share(number(row, "accuracy")) + bracket(row),
        share(number(row, "calibration_error")),
        *("–" if count is None else f"{count:,.0f}" for count in counts),
        short(number(row, "score_mean")),
        short(number(row, "score_std")),
    ]


def _records(value: object) -> Sequence[Row]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _by_fault(name: str, found: Row) -> str:
    rows = []
    for fault, row in found.items():
        accuracy, count = number(mapping(row), "accuracy"), number(mapping(row), "count")
        if accuracy is not None:
            told = "" if count is None else f"{count:,.0f}"
            cells = [share(accuracy), f"{100 * accuracy:.0f}%", told]
            rows.append(html.GridRow(name=str(fault).replace("_", " "), cells=cells))
    if not rows:
        return ""
    heading = f"<h4>{html.escape(name)}: accuracy by kind of example</h4>"
    return heading + html.grid(("accuracy", "", "examples"), rows, bars=(1,))


# ---- during RL ------------------------------------------------------------------------------------------------------


def against_gold(run: RunFolder) -> str:
    """The reward models' mean score and the gold check, step by step, with where the watch stopped the run."""
    stage = run.stage("all_scenarios_rl")
    if stage is None:
        return ""
    drawn = [
        curve for curve in main_curves(stage) if any(number(row, "model_reward") is not None for row in curve.rows)
    ]
    if not drawn:
        return ""
    marks = {}
    steps, last = run.planned_steps(stage.name), number(run.settings(stage.name), "preference_steps")
    if steps and last is not None and 0 < steps - last < steps:
        marks["preference rewards begin"] = int(steps - last)
    stopped = number(stage.numbers, "stopped_at")
    if stopped is not None:
        marks[f"stopped at step {stopped:.0f}"] = int(stopped)
    scores = chain_figures.values_over_steps(drawn, "model_reward", "reward model's score", marks=marks)
    gold = chain_figures.values_over_steps(drawn, "avg_at_k", "good by the gold check", ends="interval", marks=marks)
    left = html.figure(
        scores,
        html.caption(
            "What the reward models say.", "Mean score of held-out replies, in standard deviations; RL is paid by it."
        ),
    )
    right = html.figure(
        gold,
        html.caption(
            "What the gold check says.",
            "Share of the same replies that the task's own rule calls good; nothing is paid by it.",
        ),
    )
    said = " ".join(_moved(curve) for curve in drawn)
    end = _end(stopped, drawn)
    return f'<div class="pair2">{left}{right}</div>{html.paragraph(f"{said} {end}")}'


def _moved(curve: Curve) -> str:
    """``helpful: the model's score 0.1 → 1.3, gold .52 → .81 from step 16 to 40.``"""
    held = [row for row in curve.rows if number(row, "model_reward") is not None]
    first, last = held[0], held[-1]
    score = " → ".join(short(number(row, "model_reward")) for row in (first, last))
    gold = " → ".join(share(number(row, "avg_at_k"), 2) for row in (first, last))
    steps = f"from step {float(first['step']):.0f} to {float(last['step']):.0f}"
    return f"{curve.task}: score {score}, gold {gold} {steps}."


def _end(stopped: float | None, drawn: Sequence[Curve]) -> str:
    if stopped is not None:
        return (
            f"The watch stopped RL at step {stopped:.0f}: the score went on rising while the gold check fell, which is "
            "reward hacking (the paper's figure 6)."
        )
    return (
        "Nothing stopped RL; the paper's figure 6 shows what the watch looks for: a score that rises while gold falls."
    )
