"""Figures of what comes after R1-Zero (language, reward models, students, rivals) and of the experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.draw.canvas import AFTER, BEFORE, canvas, hue, interval_band, mean_line, points, smooth, stroke
from r1kit.report.read.consistency import Trend
from r1kit.report.read.distillation import Student
from r1kit.report.read.evaluations import Curve
from r1kit.report.read.experiments import BestOf, Course, Probed
from r1kit.report.read.reward_models import RewardModel
from r1kit.report.read.rivals import Axis, Rivals
from r1kit.report.read.series import Series, five, series
from r1kit.report.read.values import interval_of, mapping, number

__all__ = [
    "best_of_n", "calibration", "consistency_over_steps", "gaps_along", "hits_along", "lengths_beside",
    "lines_over_rounds", "process_course", "rivals_over", "steps_a_chain", "students", "values_over_steps",
]  # fmt: skip

BOUNDS = ("any of them right", "one at random")
"""What any way of choosing lies between."""


def consistency_over_steps(trends: Sequence[Trend]) -> go.Figure | None:
    """A line a stage (the running mean of its training samples), its evaluations as points; None without any."""
    figure = canvas(400, "RL step", "language consistency", shares=True)
    for index, trend in enumerate(trends):
        colour, dash, line = hue(index), "dash" if trend.elsewhere else "solid", trend.training
        if len(line) > 1:
            mean_line(figure, line, f"{trend.name}, training", colour, dash=dash)
        if trend.evaluated:
            mark = {"size": 9, "color": colour, "symbol": "diamond" if trend.elsewhere else "circle"}
            points = {"x": [step for step, _ in trend.evaluated], "y": [five(value) for _, value in trend.evaluated]}
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
        line, colour = series(curve.rows, key), hue(index)
        if not len(line):
            continue
        if ends:
            interval_band(figure, curve.rows, ends, colour)
        points(figure, line.steps, line.values, curve.task, colour)
    if not figure.data:
        return None
    half_way = max(float(row["step"]) for row in curves[0].rows) / 2
    for text, step in (marks or {}).items():
        _mark(figure, text, step, to_the_left=step > half_way)
    return figure


def _mark(figure: go.Figure, text: str, step: int, *, to_the_left: bool) -> None:
    """A dotted vertical line with its text beside it."""
    colour = "var(--red)" if text.startswith("stopped") else "var(--soft)"
    line = {"color": colour, "width": 1.4, "dash": "dot"}
    figure.add_shape(type="line", x0=step, x1=step, y0=0, y1=1, yref="paper", line=line)
    figure.add_annotation(
        x=step,
        y=0.02,
        yref="paper",
        yanchor="bottom",
        xanchor="right" if to_the_left else "left",
        showarrow=False,
        text=text,
        font={"color": colour, "size": 12},
    )


def calibration(models: Sequence[RewardModel]) -> go.Figure | None:
    """Predicted probability against what came true, a line a reward model, beside the diagonal of a perfect one."""
    figure = canvas(330, "predicted probability", "came true", shares=True)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(range=[0, 1.02], tickformat=".1f", dtick=0.2)
    for index, model in enumerate(models):
        bins = [(number(row, "predicted"), number(row, "observed"), number(row, "count")) for row in model.reliability]
        held = [(x, y, count or 0) for x, y, count in bins if x is not None and y is not None]
        if held:
            figure.add_scatter(
                x=[five(x) for x, _, _ in held],
                y=[five(y) for _, y, _ in held],
                customdata=[f"n={count:.0f}" for _, _, count in held],
                hovertemplate="%{x:.2f}: %{y:.3f}, %{customdata}<extra>" + model.name + "</extra>",
                mode="lines+markers",
                marker={"size": 8, "color": hue(index)},
                **stroke(model.name, hue(index)),
            )
    if not figure.data:
        return None
    perfect = stroke("perfect", BEFORE, width=1, dash="dot")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip", **perfect)
    return figure


def lines_over_rounds(lines: Mapping[str, Series], title: str, *, shares: bool = False) -> go.Figure | None:
    """Named lines over rounds; None without any."""
    figure = canvas(360, "round", title, shares=shares)
    figure.update_xaxes(dtick=1)
    for index, (name, line) in enumerate(lines.items()):
        if len(line):
            dash = "dot" if name.endswith("everything") else "solid"
            points(figure, line.steps, [five(value) for value in line.values], name, hue(index), dash=dash)
    return figure if figure.data else None


def students(task: str, found: Sequence[Student]) -> go.Figure | None:
    """Accuracy of each student's models side by side, with intervals."""
    figure = canvas(340, "", f"{task}, accuracy", shares=True)
    figure.update_layout(hovermode="closest", barmode="group", bargap=0.3)
    figure.update_xaxes(type="category")
    bars: dict[str, dict[str, tuple[float, tuple[float, float]]]] = {}
    for student in found:
        for model in student.models:
            line = mapping(model.lines.get(task))
            if (value := number(line, "avg_at_k")) is not None:
                bars.setdefault(model.name, {})[student.name] = (value, interval_of(line) or (value, value))
    for colour, (name, values) in zip((BEFORE, AFTER, "var(--orange)", "var(--purple)"), bars.items(), strict=False):
        errors = {
            "type": "data",
            "symmetric": False,
            "array": [five(high - value) for value, (_, high) in values.values()],
            "arrayminus": [five(value - low) for value, (low, _) in values.values()],
            "color": "var(--ink)",
            "thickness": 1.2,
            "width": 3,
        }
        heights = [five(value) for value, _ in values.values()]
        figure.add_bar(x=list(values), y=heights, name=name, marker={"color": colour}, error_y=errors)
    return figure if figure.data else None


def rivals_over(group: Rivals, axis: Axis) -> go.Figure:
    """Accuracy of stages that start from one model, a line each with its interval, over completions or operations."""
    titles = {"samples": "completions learnt from", "flops": "operations of training"}
    figure = canvas(400, titles[axis], "accuracy", shares=True)
    figure.update_layout(hovermode="closest")
    for index, one in enumerate(group.held):
        rows = [{"step": getattr(at, axis), "ends": at.ends} for at in one.points]
        interval_band(figure, rows, "ends", hue(index))
        points(figure, [row["step"] for row in rows], [five(at.value) for at in one.points], one.name, hue(index))
    return figure


def lengths_beside(group: Rivals) -> go.Figure:
    """Response length of the same stages over their steps."""
    figure = canvas(330, "RL step", "tokens in a training response")
    for index, one in enumerate(group.held):
        mean_line(figure, one.lengths, one.name, hue(index))
    return figure


def best_of_n(chosen: BestOf) -> go.Figure:
    """Accuracy over N, a line a way of choosing with its interval."""
    figure = canvas(400, "samples to choose among", "accuracy", shares=True)
    counts = sorted({n for choice in chosen.choices for n, _, _ in choice.points})
    figure.update_xaxes(type="log", tickmode="array", tickvals=counts, ticktext=[str(n) for n in counts])
    for index, choice in enumerate(choice for choice in chosen.choices if choice.drawn):
        if choice.name != BOUNDS[0]:
            rows = [{"step": n, "ends": list(ends)} for n, _, ends in choice.points]
            interval_band(figure, rows, "ends", hue(index))
        xs, ys = [n for n, _, _ in choice.points], [five(value) for _, value, _ in choice.points]
        points(figure, xs, ys, choice.name, hue(index), dash="dot" if choice.name in BOUNDS else "solid")
    return figure


def process_course(courses: Sequence[Course]) -> go.Figure:
    """Process reward, accuracy and the share that is cut, over steps; RL by rules is dashed."""
    figure = canvas(400, "RL step", "share of 1", shares=True)
    names = list(dict.fromkeys(name for one in courses for name in one.lines))
    for one, dash in zip(courses, ("solid", "dash", "dot", "dashdot"), strict=False):
        for name, line in one.lines.items():
            mean_line(figure, line, f"{name}: {one.name}", hue(names.index(name)), dash=dash)
    return figure


def steps_a_chain(courses: Sequence[Course]) -> go.Figure | None:
    """Steps of a chain over RL steps, where they were counted, and its tokens."""
    figure = canvas(400, "RL step", "steps a chain, and tokens / 10")
    for index, one in enumerate(courses):
        if len(one.steps_a_chain):
            mean_line(figure, one.steps_a_chain, f"steps: {one.name}", hue(index))
        look = stroke(f"tokens / 10: {one.name}", hue(index), dash="dot")
        tens = [five(value / 10) for value in smooth(one.tokens.values)]
        figure.add_scatter(x=one.tokens.steps, y=tens, mode="lines", **look)
    return figure if figure.data else None


def hits_along(found: Probed) -> go.Figure:
    """Share of drafts that hit, a line a dtype."""
    figure = canvas(300, "", "drafts that hit", shares=True)
    _lines(figure, found, {"draft_hit_share": ""})
    return figure


def gaps_along(found: Probed) -> go.Figure:
    """Mean distance of a log-prob between engine and learner, a line a dtype, with and without replay."""
    figure = canvas(340, "", "nats a token")
    figure.update_yaxes(type="log", rangemode="normal")
    _lines(figure, found, {"engine_gap": "", "replay_gap": ", with replay"})
    return figure


def _lines(figure: go.Figure, found: Probed, keys: dict[str, str]) -> None:
    figure.update_xaxes(type="category")
    for place, dtype in enumerate(found.dtypes):
        own = [one for one in found.held if one.dtype == dtype]
        for turn, (key, said) in enumerate(keys.items()):
            held = {one.checkpoint: five(value) for one in own if (value := number(one.numbers, key)) is not None}
            if held:
                dash = ("solid", "dot")[turn]
                points(figure, tuple(held), list(held.values()), dtype + said, hue(place), dash=dash)
