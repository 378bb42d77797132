"""Figures of the experiment on process rewards: best of N, and what RL by steps does over its steps."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.draw.canvas import band_of, canvas, hue, interval_band, smooth, stroke
from r1kit.report.read.process_rewards import BestOf, Course
from r1kit.report.read.series import five

__all__ = ["best_of_n", "process_course", "steps_a_chain"]

BOUNDS = ("any of them right", "one at random")


def best_of_n(chosen: BestOf) -> go.Figure:
    """Accuracy over N, a line a way of choosing with its interval."""
    figure = canvas(400, "samples to choose among", "accuracy", shares=True)
    counts = sorted({n for choice in chosen.choices for n, _, _ in choice.points})
    figure.update_xaxes(type="log", tickmode="array", tickvals=counts, ticktext=[str(n) for n in counts])
    for index, choice in enumerate(choice for choice in chosen.choices if choice.drawn):
        colour = hue(index)
        rows = [{"step": n, "ends": list(ends)} for n, _, ends in choice.points]
        if choice.name != "any of them right" and (area := interval_band(rows, "ends", band_of(colour))) is not None:
            figure.add_trace(area)
        xs, ys = [n for n, _, _ in choice.points], [five(value) for _, value, _ in choice.points]
        look = stroke(
            choice.name, colour, dash="dot" if choice.name in ("any of them right", "one at random") else "solid"
        )
        figure.add_scatter(x=xs, y=ys, mode="lines+markers", marker={"size": 7, "color": colour}, **look)
    return figure


def process_course(courses: Sequence[Course]) -> go.Figure:
    """Process reward, accuracy and the share that is cut, over steps; RL by rules is dashed."""
    figure = canvas(400, "RL step", "share of 1", shares=True)
    names = list(dict.fromkeys(name for course in courses for name in course.lines))
    for course, dash in zip(courses, ("solid", "dash", "dot", "dashdot"), strict=False):
        for name, line in course.lines.items():
            look = stroke(f"{name}: {course.name}", hue(names.index(name)), dash=dash)
            figure.add_scatter(x=line.steps, y=smooth(line.values), mode="lines", **look)
    return figure


def steps_a_chain(courses: Sequence[Course]) -> go.Figure | None:
    """Steps of a chain over RL steps, where they were counted, and its tokens."""
    figure = canvas(400, "RL step", "steps a chain, and tokens / 10")
    for index, course in enumerate(courses):
        if len(course.steps_a_chain):
            look = stroke(f"steps: {course.name}", hue(index))
            figure.add_scatter(
                x=course.steps_a_chain.steps, y=smooth(course.steps_a_chain.values), mode="lines", **look
            )
        look = stroke(f"tokens / 10: {course.name}", hue(index), dash="dot")
        tens = [five(value / 10) for value in smooth(course.tokens.values)]
        figure.add_scatter(x=course.tokens.steps, y=tens, mode="lines", **look)
    return figure if figure.data else None
