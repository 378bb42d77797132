"""What every figure shares. Colours are variables of ``report.css``, so that the page can be light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.read.series import Series, rolling
from r1kit.report.read.values import Row, interval_of

__all__ = [
    "AFTER",
    "BEFORE",
    "HUES",
    "band_of",
    "canvas",
    "hue",
    "interval_band",
    "mean_line",
    "points",
    "smooth",
    "stroke",
    "trend",
]

HUES = ("var(--blue)", "var(--orange)", "var(--green)", "var(--purple)", "var(--red)", "var(--teal)")
BEFORE, AFTER = "var(--before)", "var(--blue)"
SMOOTHED = 30
"""A line of so many points is drawn as its running mean."""


def hue(place: int) -> str:
    """Colour of the line at a place; they come round again."""
    return HUES[place % len(HUES)]


def band_of(colour: str) -> str:
    """The pale colour of an interval around a line."""
    return colour.replace(")", "-band)")


def canvas(height: int, x: str, y: str, *, shares: bool = False) -> go.Figure:
    """An empty figure in the page's style."""
    axis = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--rule)",
        "zeroline": False,
        "automargin": True,
        "exponentformat": "e",
    }
    whole = {"range": [0, 1.02], "tickformat": ".1f", "dtick": 0.2} if shares else {}
    layout = {
        "template": "none",
        "height": height,
        "margin": {"l": 46, "r": 14, "t": 30, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--soft)", "size": 13, "family": "system-ui, -apple-system, 'Segoe UI', sans-serif"},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "var(--paper)", "bordercolor": "var(--rule)", "font": {"color": "var(--ink)"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x}, "showgrid": False, "ticks": "outside", "tickcolor": "var(--rule)"},
        "yaxis": {**axis, "title": {"text": y}, "rangemode": "tozero", **whole},
    }
    return go.Figure(layout=layout)  # ten times as fast as ``update_layout``


def stroke(name: str, colour: str, **more: Any) -> dict[str, Any]:
    """A line's name, colour and width, as plotly takes them."""
    width, dash = more.pop("width", 2.4), more.pop("dash", "solid")
    return {"name": name, "line": {"color": colour, "width": width, "dash": dash}, **more}


def smooth(values: Sequence[float]) -> Sequence[float]:
    """The running mean of a long line; a short one as it is."""
    return rolling(values) if len(values) >= SMOOTHED else values


def trend(figure: go.Figure, line: Series, pale: dict[str, Any], strong: dict[str, Any]) -> None:
    """A long line as pale single steps under its running mean; a short one as it is, in the strong stroke."""
    if len(line) >= SMOOTHED:
        figure.add_scatter(x=line.steps, y=line.values, mode="lines", **pale)
    figure.add_scatter(x=line.steps, y=smooth(line.values), mode="lines", **strong)


def mean_line(figure: go.Figure, line: Series, name: str, colour: str, **look: Any) -> None:
    """A line, as its running mean where it is long."""
    figure.add_scatter(x=line.steps, y=smooth(line.values), mode="lines", **stroke(name, colour, **look))


def points(figure: go.Figure, xs: Sequence[Any], ys: Sequence[float], name: str, colour: str, **look: Any) -> None:
    """A line with a mark at each point."""
    mark = {"size": 7, "color": colour}
    figure.add_scatter(x=xs, y=ys, mode="lines+markers", marker=mark, **stroke(name, colour, **look))


def interval_band(figure: go.Figure, rows: Sequence[Row], key: str, colour: str) -> None:
    """The interval of evaluations as a closed ribbon; nothing where fewer than two have one."""
    held = [(row["step"], ends) for row in rows if (ends := interval_of(row, key)) is not None]
    if len(held) > 1:
        xs = [step for step, _ in held] + [step for step, _ in reversed(held)]
        ys = [high for _, (_, high) in held] + [low for _, (low, _) in reversed(held)]
        look = {"fillcolor": band_of(colour), "line": {"width": 0}, "mode": "lines"}
        figure.add_scatter(x=xs, y=ys, fill="toself", hoverinfo="skip", showlegend=False, **look)
