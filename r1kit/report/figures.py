"""The figures of the report, with plotly. Colours are CSS variables, so that the page can be light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.findings import Comparison, Curve, interval_of
from r1kit.report.run_folder import Row, number

__all__ = [
    "AFTER",
    "BEFORE",
    "HUES",
    "accuracy_by_budget",
    "accuracy_by_tries",
    "accuracy_over_steps",
    "canvas",
    "five",
    "length_over_steps",
    "loss_over_steps",
    "reflection_words",
    "ribbon",
    "rolling",
    "series",
    "small",
    "stroke",
    "time_split",
]

HUES = ("var(--blue)", "var(--orange)", "var(--green)", "var(--purple)", "var(--red)", "var(--teal)")
BANDS = tuple(hue.replace(")", "-band)") for hue in HUES)
BEFORE, AFTER = "var(--before)", "var(--blue)"
MOST_POINTS = 800
"""A longer line is drawn as means over equal runs of steps."""


def five(value: float | None) -> float | None:
    """Five significant digits, so that the page stays small."""
    return None if value is None else float(f"{value:.5g}")


def series(rows: Sequence[Row], key: str) -> tuple[list[float], list[float]]:
    """Points of a field, thinned to at most ``MOST_POINTS`` by means over equal runs."""
    points = [(number(row, "step"), number(row, key)) for row in rows]
    held = [(at, value) for at, value in points if at is not None and value is not None]
    size = -(-len(held) // MOST_POINTS) if held else 1
    runs = [held[start : start + size] for start in range(0, len(held), size)]
    xs = [run[-1][0] for run in runs]
    return xs, [five(sum(value for _, value in run) / len(run)) or 0.0 for run in runs]


def rolling(values: Sequence[float]) -> list[float]:
    """Centred mean over a twentieth of the line: the trend behind a noisy one."""
    half = max(1, len(values) // 40)
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [five(sum(window) / len(window)) or 0.0 for window in windows]


def canvas(height: int, x: str, y: str, *, shares: bool = False) -> go.Figure:
    """An empty figure in the page's style."""
    axis = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--rule)",
        "zeroline": False,
        "automargin": True,
        "exponentformat": "e",
    }
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 46, "r": 14, "t": 30, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "var(--soft)", "size": 13, "family": "system-ui, -apple-system, 'Segoe UI', sans-serif"},
        hovermode="x unified",
        hoverlabel={"bgcolor": "var(--paper)", "bordercolor": "var(--rule)", "font": {"color": "var(--ink)"}},
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        xaxis={**axis, "title": {"text": x}, "showgrid": False, "ticks": "outside", "tickcolor": "var(--rule)"},
        yaxis={**axis, "title": {"text": y}, "rangemode": "tozero"},
    )
    if shares:
        figure.update_yaxes(range=[0, 1.02], tickformat=".1f", dtick=0.2)
    return figure


def stroke(name: str, hue: str, **more: Any) -> dict[str, Any]:
    """Name and pen of a line, as plotly takes them."""
    width, dash = more.pop("width", 2.4), more.pop("dash", "solid")
    return {"name": name, "line": {"color": hue, "width": width, "dash": dash}, **more}


def ribbon(curve: Curve, key: str, hue: str) -> go.Scatter | None:
    """The interval of a curve as a closed ribbon; None where fewer than two points have one."""
    held = [(row["step"], ends) for row in curve.rows if (ends := interval_of(row, key)) is not None]
    if len(held) < 2:
        return None
    xs = [step for step, _ in held] + [step for step, _ in reversed(held)]
    ys = [high for _, (_, high) in held] + [low for _, (low, _) in reversed(held)]
    return go.Scatter(
        x=xs, y=ys, fill="toself", fillcolor=hue, line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False
    )


def accuracy_over_steps(curves: Sequence[Curve], judged: Iterable[Curve] = ()) -> go.Figure:
    """The paper's figure 2: avg@k and cons@k over steps, intervals as bands; ``judged``: points of a test split.

    The majority is left out for a task whose answers never win a vote: replies are not counted.
    """
    figure = canvas(430, "RL step", "accuracy", shares=True)
    several = len(curves) > 1
    for index, curve in enumerate(curves):
        prefix = f"{curve.task} " if several else ""
        hues = (HUES[index % 6],) * 2 if several else (HUES[0], HUES[1])
        bands = (BANDS[index % 6],) * 2 if several else (BANDS[0], BANDS[1])
        for key, ends, name, hue, band in (
            ("cons_at_k", "cons_interval", f"{prefix}cons@{curve.k}", hues[1], bands[1]),
            ("avg_at_k", "interval", f"{prefix}avg@{curve.k}", hues[0], bands[0]),
        ):
            if key == "cons_at_k" and not any(series(curve.rows, key)[1]):
                continue
            if (area := ribbon(curve, ends, band)) is not None:
                figure.add_trace(area)
            xs, ys = series(curve.rows, key)
            dash = "dot" if several and key == "cons_at_k" else "solid"
            mode = "lines+markers" if len(xs) <= 60 else "lines"
            figure.add_scatter(x=xs, y=ys, mode=mode, marker={"size": 6, "color": hue}, **stroke(name, hue, dash=dash))
    for curve in judged:
        xs, ys = series(curve.rows, "avg_at_k")
        mark = {"symbol": "diamond-open", "size": 11, "color": "var(--ink)", "line": {"width": 2}}
        figure.add_scatter(x=xs, y=ys, mode="markers", marker=mark, name=f"{curve.task} avg@{curve.k}, {curve.split}")
    return figure


def length_over_steps(metrics: Sequence[Row], curves: Sequence[Curve]) -> go.Figure | None:
    """The paper's figure 3: mean response length in training, with the evaluations as points; None under two."""
    if max([len(series(rows, "response_tokens")[0]) for rows in (metrics, *(curve.rows for curve in curves))]) < 2:
        return None
    figure = canvas(380, "RL step", "tokens in a response")
    xs, ys = series(metrics, "response_tokens")
    if len(xs) >= 30:
        raw = stroke("training, each step", "var(--before)", width=1, opacity=0.55)
        figure.add_scatter(x=xs, y=ys, mode="lines", **raw)
        figure.add_scatter(x=xs, y=rolling(ys), mode="lines", **stroke("training, running mean", AFTER))
    elif xs:
        figure.add_scatter(x=xs, y=ys, mode="lines", **stroke("training mean", AFTER))
    for index, curve in enumerate(curves):
        xs, ys = series(curve.rows, "response_tokens")
        name = f"{curve.task}, evaluation" if len(curves) > 1 else "evaluation"
        mark = {"size": 9, "color": HUES[(index + 1) % 6], "line": {"width": 1.5, "color": "var(--paper)"}}
        figure.add_scatter(x=xs, y=ys, mode="markers", marker=mark, name=name)
    return figure


def _budget_points(row: Row) -> list[tuple[float, float]]:
    found = row.get("accuracy_under_budget")
    if not isinstance(found, Mapping):
        return []
    points = [(float(key), number(found, key)) for key in found if str(key).isdigit()]
    return sorted((tokens, value) for tokens, value in points if value is not None)


def accuracy_by_budget(found: Sequence[Comparison], names: tuple[str, str]) -> go.Figure | None:
    """Accuracy when every response is cut at a number of tokens, before and after; None where nothing was measured."""
    figure = canvas(330, "token budget", "accuracy", shares=True)
    for index, comparison in enumerate(found):
        prefix = f"{comparison.curve.task}, " if len(found) > 1 else ""
        sides = ((comparison.before, BEFORE, names[0]), (comparison.after, HUES[index % 4], names[1]))
        for row, hue, name in sides:
            if points := _budget_points(row):
                xs, ys = [point[0] for point in points], [point[1] for point in points]
                dash = ("solid", "dot", "dash", "dashdot")[index % 4]
                line = stroke(prefix + name, hue, dash=dash)
                figure.add_scatter(x=xs, y=ys, mode="lines+markers", marker={"size": 7, "color": hue}, **line)
    return figure if figure.data else None


def accuracy_by_tries(comparison: Comparison, names: tuple[str, str]) -> go.Figure | None:
    """Accuracy of the responses with so many attempts, before and after, with how many there were."""
    figure = canvas(330, "attempts in a response", "accuracy", shares=True)
    figure.update_layout(hovermode="closest", barmode="group", bargap=0.25)
    figure.update_xaxes(type="category")
    for row, hue, name in ((comparison.before, BEFORE, names[0]), (comparison.after, AFTER, names[1])):
        found = row.get("accuracy_by_tries")
        cells = found if isinstance(found, Mapping) else {}
        keys = sorted((str(key) for key in cells if isinstance(cells[key], Mapping)), key=_leading)
        if keys:
            accuracy = [five(number(cells[key], "accuracy")) for key in keys]
            counts = [f"n={int(number(cells[key], 'count') or 0)}" for key in keys]
            hover = "%{x} attempts: %{y:.3f}, %{customdata}<extra>" + name + "</extra>"
            bars = {"x": keys, "y": accuracy, "customdata": counts, "hovertemplate": hover, "name": name}
            figure.add_bar(marker={"color": hue}, **bars)
    return figure if figure.data else None


def _leading(key: str) -> float:
    """Order of ``"3"``, ``"2-3"`` or ``"9+"`` among keys."""
    digits = key.strip().rstrip("+").partition("-")[0]
    return float(digits) if digits.isdigit() else float("inf")


def reflection_words(comparison: Comparison, names: tuple[str, str], most: int = 14) -> go.Figure | None:
    """Reflective words per response, before and after, the most frequent ones."""
    sides = [row.get("reflection_words") for row in (comparison.before, comparison.after)]
    old, new = (side if isinstance(side, Mapping) else {} for side in sides)
    words = list(dict.fromkeys([*old, *new]))
    rate = {word: max(number(old, word) or 0.0, number(new, word) or 0.0) for word in words}
    words = sorted((word for word in words if rate[word] > 0), key=lambda word: rate[word])[-most:]
    if not words:
        return None
    figure = canvas(110 + 30 * len(words), "per response", "")
    figure.update_layout(hovermode="closest", barmode="group", bargap=0.3)
    figure.update_layout(legend={"traceorder": "reversed"})
    for side, hue, name in ((new, AFTER, names[1]), (old, BEFORE, names[0])):
        values = [five(number(side, word) or 0.0) for word in words]
        figure.add_bar(x=values, y=words, orientation="h", name=name, marker={"color": hue})
    figure.update_xaxes(rangemode="tozero", showgrid=True)
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def small(rows: Sequence[Row], keys: Mapping[str, str], *, shares: bool = False) -> go.Figure | None:
    """One small panel: each field that varies as a line (field to legend name); None where none does."""
    figure = canvas(210, "", "", shares=shares)
    figure.update_layout(margin={"l": 40, "r": 8, "t": 30, "b": 26}, font={"size": 11.5})
    drawn = [(name, *series(rows, key)) for key, name in keys.items()]
    drawn = [(name, xs, ys) for name, xs, ys in drawn if len(set(ys)) > 1]
    for index, (name, xs, ys) in enumerate(drawn):
        hue = HUES[index % len(HUES)]
        if len(xs) >= 30:
            raw = stroke(name, hue, width=1, opacity=0.3, showlegend=False, hoverinfo="skip")
            figure.add_scatter(x=xs, y=ys, mode="lines", **raw)
            ys = rolling(ys)
        figure.add_scatter(x=xs, y=ys, mode="lines", **stroke(name, hue, width=1.9))
    legend = len(drawn) > 1
    figure.update_layout(showlegend=legend, margin={"t": 30 if legend else 10})
    return figure if drawn else None


def time_split(rows: Sequence[Row]) -> go.Figure | None:
    """Seconds of a step, stacked: sampling, scoring, updating."""
    figure = canvas(210, "", "")
    figure.update_layout(margin={"l": 40, "r": 8, "t": 30, "b": 26}, font={"size": 11.5})
    for index, key in enumerate(("sample_seconds", "score_seconds", "update_seconds")):
        xs, ys = series(rows, key)
        if xs:
            hue, band = HUES[index], BANDS[index]
            ys = rolling(ys) if len(ys) >= 30 else ys
            line = stroke(key.removesuffix("_seconds"), hue, width=1.2)
            figure.add_scatter(x=xs, y=ys, mode="lines", stackgroup="time", fillcolor=band, **line)
    return figure if figure.data else None


def loss_over_steps(rows: Sequence[Row]) -> go.Figure | None:
    """Pretraining loss over steps; the y axis does not start at 0."""
    figure = canvas(300, "step", "loss, nats a token")
    xs, ys = series(rows, "loss")
    if len(xs) < 2:
        return None
    figure.update_yaxes(rangemode="normal")
    figure.update_xaxes(exponentformat="SI")
    if len(xs) >= 30:
        figure.add_scatter(x=xs, y=ys, mode="lines", **stroke("each step", "var(--before)", width=1, opacity=0.55))
        figure.add_scatter(x=xs, y=rolling(ys), mode="lines", **stroke("running mean", AFTER))
    else:
        figure.add_scatter(x=xs, y=ys, mode="lines", **stroke("loss", AFTER))
    return figure
