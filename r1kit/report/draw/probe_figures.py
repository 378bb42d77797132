"""Figures of stage ``probe``: drafts that hit, and engine against learner, checkpoint by checkpoint."""

from __future__ import annotations

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.draw.canvas import canvas, hue, stroke
from r1kit.report.read.probes import Probed
from r1kit.report.read.series import five
from r1kit.report.read.values import number

__all__ = ["gaps_along", "hits_along"]


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
            points = [(one.checkpoint, value) for one in own if (value := number(one.numbers, key)) is not None]
            if points:
                look = stroke(dtype + said, hue(place), dash=("solid", "dot")[turn])
                names, values = zip(*points, strict=True)
                ys = [five(value) for value in values]
                figure.add_scatter(x=names, y=ys, mode="lines+markers", marker={"size": 7, "color": hue(place)}, **look)
