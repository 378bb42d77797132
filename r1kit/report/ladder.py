"""The rungs that programs reach over an RL stage: a program, Python, it runs, its tests (R1 paper, 2.2.2)."""

from __future__ import annotations

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report import html
from r1kit.report.figures import HUES, canvas, five, stroke
from r1kit.report.findings import Curve, main_curves
from r1kit.report.run_folder import StageFolder, mapping, number

__all__ = ["RUNGS", "section"]

RUNGS = {
    "block": "a program is there",
    "lint": "it is Python",
    "runs": "it runs",
    "tests_passed": "share of tests passed",
    "answer_right": "all tests passed",
}
"""Diagnostic of a code task -> what it says of a program."""


def section(stage: StageFolder) -> str:
    """A figure for each code task of the stage; nothing where it has none."""
    return "".join(html.figure(_figure(curve), _caption(curve)) for curve in main_curves(stage) if _has_rungs(curve))


def _has_rungs(curve: Curve) -> bool:
    return any(number(mapping(row.get("diagnostics")), "runs") is not None for row in curve.rows)


def _figure(curve: Curve) -> go.Figure:
    """Share of held-out completions that reach each rung, over steps."""
    drawn = canvas(340, "RL step", "share of completions", shares=True)
    for hue, (rung, said) in zip(HUES, RUNGS.items(), strict=False):
        points = [(row["step"], number(mapping(row.get("diagnostics")), rung)) for row in curve.rows]
        held = [(step, five(value)) for step, value in points if value is not None]
        xs, ys = [step for step, _ in held], [value for _, value in held]
        drawn.add_scatter(x=xs, y=ys, mode="lines+markers", marker={"size": 7, "color": hue}, **stroke(said, hue))
    return drawn


def _caption(curve: Curve) -> str:
    text = (
        "Every program runs in the sandbox on hidden tests; only passing all of them is paid. Where the rungs below "
        "are full from the start, what RL buys is the last one."
    )
    return html.caption(f"How far up the ladder programs of {curve.task} come.", text)
