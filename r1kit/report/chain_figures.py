"""Figures of what comes after R1-Zero: language consistency, reward models against gold, calibration, students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.figures import AFTER, BEFORE, HUES, canvas, five, ribbon, rolling, series, stroke
from r1kit.report.findings import Curve
from r1kit.report.run_folder import Row, number

__all__ = ["Bars", "Trend", "calibration", "consistency_over_steps", "students", "values_over_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Language consistency of one RL stage."""

    name: str
    training: Sequence[Row]
    """Its metrics, with ``language``."""
    judged: Sequence[tuple[float, float]]
    """(step, consistency) of its evaluations."""
    accuracy: Sequence[tuple[float, float]] = ()
    """(step, accuracy) of them."""
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One kind of model over the students."""

    name: str
    values: Mapping[str, tuple[float, tuple[float, float] | None]]
    """Student -> accuracy and its interval."""


def consistency_over_steps(trends: Sequence[Trend]) -> go.Figure | None:
    """A line a stage (the running mean of its training samples), its evaluations as points; None without any."""
    figure = canvas(400, "RL step", "language consistency", shares=True)
    for index, trend in enumerate(trends):
        hue, dash = HUES[index % 6], "dash" if trend.dashed else "solid"
        xs, ys = series(trend.training, "language")
        if len(xs) > 1:
            ys = rolling(ys) if len(ys) >= 30 else ys
            figure.add_scatter(x=xs, y=ys, mode="lines", **stroke(f"{trend.name}, training", hue, dash=dash))
        if trend.judged:
            mark = {"size": 9, "color": hue, "symbol": "diamond" if trend.dashed else "circle"}
            points = {"x": [step for step, _ in trend.judged], "y": [five(value) for _, value in trend.judged]}
            figure.add_scatter(mode="markers", marker=mark, name=f"{trend.name}, evaluation", **points)
    return figure if figure.data else None


def values_over_steps(
    curves: Sequence[Curve], key: str, title: str, *, ends: str = "", marks: Mapping[str, int] | None = None
) -> go.Figure | None:
    """A field over steps, a line a task, with vertical marks (text to step); None where no task has the field.

    Args:
        ends: field of its interval.
    """
    shares = key == "avg_at_k"
    figure = canvas(330, "RL step", title, shares=shares)
    if not shares:
        figure.update_yaxes(rangemode="normal")
    for index, curve in enumerate(curves):
        xs, ys = series(curve.rows, key)
        if not xs:
            continue
        hue = HUES[index % 6]
        if ends and (area := ribbon(curve, ends, hue.replace(")", "-band)"))) is not None:
            figure.add_trace(area)
        figure.add_scatter(
            x=xs, y=ys, mode="lines+markers", marker={"size": 7, "color": hue}, **stroke(curve.task, hue)
        )
    if not figure.data:
        return None
    for text, step in (marks or {}).items():
        hue = "var(--red)" if text.startswith("stopped") else "var(--soft)"
        label = {"text": text, "font": {"color": hue, "size": 12}}
        figure.add_shape(
            type="line", x0=step, x1=step, y0=0, y1=1, yref="paper", line={"color": hue, "width": 1.4, "dash": "dot"}
        )
        left = bool(curves) and step > max(float(row["step"]) for row in curves[0].rows) / 2
        figure.add_annotation(
            x=step,
            y=0.02,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if left else "left",
            showarrow=False,
            **label,
        )
    return figure


def calibration(tables: Mapping[str, Sequence[Row]]) -> go.Figure | None:
    """Predicted probability against what came true, a line a reward model, beside the diagonal of a perfect one."""
    figure = canvas(330, "predicted probability", "came true", shares=True)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(range=[0, 1.02], tickformat=".1f", dtick=0.2)
    for index, (name, rows) in enumerate(tables.items()):
        points = [(number(row, "predicted"), number(row, "observed"), number(row, "count")) for row in rows]
        held = [(x, y, count or 0) for x, y, count in points if x is not None and y is not None]
        if held:
            hue = HUES[index % 6]
            figure.add_scatter(
                x=[five(x) for x, _, _ in held],
                y=[five(y) for _, y, _ in held],
                customdata=[f"n={count:.0f}" for _, _, count in held],
                hovertemplate="%{x:.2f}: %{y:.3f}, %{customdata}<extra>" + name + "</extra>",
                mode="lines+markers",
                marker={"size": 8, "color": hue},
                **stroke(name, hue),
            )
    if not figure.data:
        return None
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip", **stroke("perfect", BEFORE, width=1, dash="dot")
    )
    return figure


def students(task: str, bars: Sequence[Bars]) -> go.Figure | None:
    """Accuracy of each student's models side by side, with intervals."""
    figure = canvas(340, "", f"{task}, accuracy", shares=True)
    figure.update_layout(hovermode="closest", barmode="group", bargap=0.3)
    figure.update_xaxes(type="category")
    hues = (BEFORE, AFTER, "var(--orange)", "var(--purple)")
    for hue, each in zip(hues, (bar for bar in bars if bar.values), strict=False):
        names = list(each.values)
        found = [each.values[name] for name in names]
        errors = {
            "type": "data",
            "symmetric": False,
            "array": [five(ends[1] - value) if ends else 0 for value, ends in found],
            "arrayminus": [five(value - ends[0]) if ends else 0 for value, ends in found],
            "color": "var(--ink)",
            "thickness": 1.2,
            "width": 3,
        }
        figure.add_bar(
            x=names, y=[five(value) for value, _ in found], name=each.name, marker={"color": hue}, error_y=errors
        )
    return figure if figure.data else None
