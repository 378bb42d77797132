"""The figures of an RL stage and of pretraining, with plotly. A function gives None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.draw.canvas import (
    AFTER,
    BEFORE,
    HUES,
    band_of,
    canvas,
    hue,
    interval_band,
    points,
    smooth,
    stroke,
    trend,
)
from r1kit.report.read.evaluations import Comparison, Curve
from r1kit.report.read.rl_stage import RUNGS
from r1kit.report.read.series import Series, five, series
from r1kit.report.read.values import Row, mapping, number

__all__ = [
    "accuracy_by_budget",
    "accuracy_by_tries",
    "accuracy_over_steps",
    "expert_loads",
    "ladder_over_steps",
    "length_over_steps",
    "loss_over_steps",
    "panel",
    "reflection_words",
    "time_split",
]

PALE = {"width": 1, "opacity": 0.55}


def accuracy_over_steps(curves: Sequence[Curve], tests: Iterable[Curve] = ()) -> go.Figure | None:
    """The paper's figure 2: avg@k and cons@k over steps, intervals as bands; ``tests``: points of the test split.

    The majority is left out for a task whose answers never win a vote: replies are not counted.
    """
    if not curves:
        return None
    figure = canvas(430, "RL step", "accuracy", shares=True)
    several = len(curves) > 1
    for index, curve in enumerate(curves):
        prefix = f"{curve.task} " if several else ""
        majority_hue, mean_hue = (hue(index), hue(index)) if several else (HUES[1], HUES[0])
        for key, ends, name, colour in (
            ("cons_at_k", "cons_interval", f"{prefix}cons@{curve.k}", majority_hue),
            ("avg_at_k", "interval", f"{prefix}avg@{curve.k}", mean_hue),
        ):
            line = series(curve.rows, key)
            if key == "cons_at_k" and not any(line.values):
                continue
            interval_band(figure, curve.rows, ends, colour)
            mode = "lines+markers" if len(line) <= 60 else "lines"
            look = stroke(name, colour, dash="dot" if several and key == "cons_at_k" else "solid")
            figure.add_scatter(x=line.steps, y=line.values, mode=mode, marker={"size": 6, "color": colour}, **look)
    for curve in tests:
        line = series(curve.rows, "avg_at_k")
        mark = {"symbol": "diamond-open", "size": 11, "color": "var(--ink)", "line": {"width": 2}}
        name = f"{curve.task} avg@{curve.k}, {curve.split}"
        figure.add_scatter(x=line.steps, y=line.values, mode="markers", marker=mark, name=name)
    return figure


def length_over_steps(training: Series | None, curves: Sequence[Curve]) -> go.Figure | None:
    """The paper's figure 3: mean response length in training, with the evaluations as points; None under two."""
    evaluated = [series(curve.rows, "response_tokens") for curve in curves]
    if max((len(line) for line in (training, *evaluated) if line), default=0) < 2:
        return None
    figure = canvas(380, "RL step", "tokens in a response")
    if training:
        name = "training, running mean" if smooth(training.values) is not training.values else "training mean"
        trend(figure, training, stroke("training, each step", BEFORE, **PALE), stroke(name, AFTER))
    for index, (curve, line) in enumerate(zip(curves, evaluated, strict=True)):
        name = f"{curve.task}, evaluation" if len(curves) > 1 else "evaluation"
        mark = {"size": 9, "color": hue(index + 1), "line": {"width": 1.5, "color": "var(--paper)"}}
        figure.add_scatter(x=line.steps, y=line.values, mode="markers", marker=mark, name=name)
    return figure


def ladder_over_steps(curve: Curve) -> go.Figure:
    """Share of held-out completions that reach each rung, over steps."""
    figure = canvas(340, "RL step", "share of completions", shares=True)
    for colour, (rung, said) in zip(HUES, RUNGS.items(), strict=False):
        line = series([{"step": row["step"], **mapping(row.get("diagnostics"))} for row in curve.rows], rung)
        points(figure, line.steps, line.values, said, colour)
    return figure


def _budget_points(row: Row) -> list[tuple[float, float]]:
    found = mapping(row.get("accuracy_under_budget"))
    points = [(float(key), number(found, key)) for key in found if str(key).isdigit()]
    return sorted((tokens, value) for tokens, value in points if value is not None)


def accuracy_by_budget(comparisons: Sequence[Comparison], sides: tuple[str, str]) -> go.Figure | None:
    """Accuracy when every response is cut at a number of tokens, before and after."""
    figure = canvas(330, "token budget", "accuracy", shares=True)
    for index, comparison in enumerate(comparisons):
        prefix = f"{comparison.curve.task}, " if len(comparisons) > 1 else ""
        dash = ("solid", "dot", "dash", "dashdot")[index % 4]
        for row, colour, side in ((comparison.before, BEFORE, sides[0]), (comparison.after, hue(index % 4), sides[1])):
            if budgets := _budget_points(row):
                xs, ys = [tokens for tokens, _ in budgets], [value for _, value in budgets]
                points(figure, xs, ys, prefix + side, colour, dash=dash)
    return figure if figure.data else None


def accuracy_by_tries(comparison: Comparison, sides: tuple[str, str]) -> go.Figure | None:
    """Accuracy of the responses with so many attempts, before and after, with how many there were."""
    figure = canvas(330, "attempts in a response", "accuracy", shares=True)
    figure.update_layout(hovermode="closest", barmode="group", bargap=0.25)
    figure.update_xaxes(type="category")
    for row, colour, name in ((comparison.before, BEFORE, sides[0]), (comparison.after, AFTER, sides[1])):
        cells = mapping(row.get("accuracy_by_tries"))
        keys = sorted((str(key) for key in cells if isinstance(cells[key], Mapping)), key=_leading)
        if keys:
            accuracy = [number(cells[key], "accuracy") for key in keys]
            figure.add_bar(
                x=keys,
                y=[None if value is None else five(value) for value in accuracy],
                customdata=[f"n={int(number(cells[key], 'count') or 0)}" for key in keys],
                hovertemplate="%{x} attempts: %{y:.3f}, %{customdata}<extra>" + name + "</extra>",
                name=name,
                marker={"color": colour},
            )
    return figure if figure.data else None


def _leading(key: str) -> float:
    """Order of ``"3"``, ``"2-3"`` or ``"9+"`` among keys."""
    digits = key.strip().rstrip("+").partition("-")[0]
    return float(digits) if digits.isdigit() else float("inf")


def reflection_words(comparison: Comparison, sides: tuple[str, str], most: int = 14) -> go.Figure | None:
    """Reflective words per response, before and after, the most frequent ones."""
    old, new = (mapping(row.get("reflection_words")) for row in (comparison.before, comparison.after))
    rate = {word: max(number(old, word) or 0.0, number(new, word) or 0.0) for word in [*old, *new]}
    words = sorted((word for word in rate if rate[word] > 0), key=lambda word: rate[word])[-most:]
    if not words:
        return None
    figure = canvas(110 + 30 * len(words), "per response", "")
    figure.update_layout(hovermode="closest", barmode="group", bargap=0.3, legend={"traceorder": "reversed"})
    for side, colour, name in ((new, AFTER, sides[1]), (old, BEFORE, sides[0])):
        values = [five(number(side, word) or 0.0) for word in words]
        figure.add_bar(x=values, y=words, orientation="h", name=name, marker={"color": colour})
    figure.update_xaxes(rangemode="tozero", showgrid=True)
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def _small_canvas(*, shares: bool = False) -> go.Figure:
    figure = canvas(210, "", "", shares=shares)
    figure.update_layout(margin={"l": 40, "r": 8, "t": 30, "b": 26}, font={"size": 11.5})
    return figure


def panel(metrics: Mapping[str, Series], names: Mapping[str, str], *, shares: bool = False) -> go.Figure | None:
    """One small panel: each field that varies as a line.

    Args:
        names: field -> its name in the legend.
    """
    moving = [(name, metrics[key]) for key, name in names.items() if key in metrics]
    moving = [(name, line) for name, line in moving if len(set(line.values)) > 1]
    if not moving:
        return None
    figure = _small_canvas(shares=shares)
    for index, (name, line) in enumerate(moving):
        pale = stroke(name, hue(index), width=1, opacity=0.3, showlegend=False, hoverinfo="skip")
        trend(figure, line, pale, stroke(name, hue(index), width=1.9))
    legend = len(moving) > 1
    figure.update_layout(showlegend=legend, margin={"t": 30 if legend else 10})
    return figure


def time_split(metrics: Mapping[str, Series]) -> go.Figure | None:
    """Seconds of a step, stacked: sampling, scoring, updating."""
    figure = _small_canvas()
    for index, key in enumerate(("sample_seconds", "score_seconds", "update_seconds")):
        if key in metrics:
            line = metrics[key]
            look = stroke(key.removesuffix("_seconds"), hue(index), width=1.2, fillcolor=band_of(hue(index)))
            figure.add_scatter(x=line.steps, y=smooth(line.values), mode="lines", stackgroup="time", **look)
    return figure if figure.data else None


def expert_loads(loads: Mapping[str, Series]) -> go.Figure | None:
    """How far each layer's most loaded expert is above the mean load, over the steps of pretraining."""
    lines = {name: line for name, line in loads.items() if len(line) > 1}
    if not lines:
        return None
    figure = canvas(260, "step", "above the mean load")
    figure.update_xaxes(exponentformat="SI")
    for index, (name, line) in enumerate(lines.items()):
        pale = stroke(name, hue(index), width=1, opacity=0.3, showlegend=False, hoverinfo="skip")
        trend(figure, line, pale, stroke(name, hue(index), width=1.9))
    return figure


def loss_over_steps(loss: Series) -> go.Figure | None:
    """Pretraining loss over steps; the y axis does not start at 0."""
    if len(loss) < 2:
        return None
    figure = canvas(300, "step", "loss, nats a token")
    figure.update_yaxes(rangemode="normal")
    figure.update_xaxes(exponentformat="SI")
    name = "running mean" if smooth(loss.values) is not loss.values else "loss"
    trend(figure, loss, stroke("each step", BEFORE, **PALE), stroke(name, AFTER))
    return figure
