"""The figures of one stage for the live page, and of several runs over each other, as the report draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.draw.canvas import canvas, hue, smooth, stroke
from r1kit.report.draw.figures import accuracy_over_steps, length_over_steps, loss_over_steps, panel, time_split
from r1kit.report.read.explained import explain
from r1kit.report.read.rl_stage import RLStage, StageLines
from r1kit.report.read.series import Series

__all__ = ["Drawn", "overlays", "stage_figures"]

TIMES = ("sample_seconds", "score_seconds", "update_seconds")
SAYS_NOTHING = ("seconds",)
FIGURE_2 = (
    "Mean accuracy of k samples (avg@k) and accuracy of their majority answer (cons@k) on held-out problems, with 95% "
    "intervals; step 0 is the model before RL. The paper's figure 2."
)
FIGURE_3 = "Mean tokens in a response on the training problems, and in the evaluations. The paper's figure 3."


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    name: str
    """Field of the log, or of the figure."""
    title: str
    text: str
    """What it means, in a line."""
    figure: go.Figure
    is_large: bool = False


def stage_figures(stage: RLStage, *, only_large: bool = False) -> list[Drawn]:
    """The paper's two figures first, then every number that the stage's steps log and that moves."""
    large = list(_large(stage))
    if only_large:
        return large
    drawn = {"length_over_steps": "response_tokens"}
    there = {drawn.get(one.name, one.name) for one in large}
    return large + list(_panels({name: line for name, line in stage.metrics.items() if name not in there}))


def _large(stage: RLStage) -> Iterator[Drawn]:
    curves, tests = stage.drawn(())
    if (figure := accuracy_over_steps(curves, tests)) is not None:
        yield Drawn(name="accuracy_over_steps", title="Accuracy", text=FIGURE_2, figure=figure, is_large=True)
    if stage.is_rl and (figure := length_over_steps(stage.metrics.get("response_tokens"), stage.curves)) is not None:
        yield Drawn(name="length_over_steps", title="Response length", text=FIGURE_3, figure=figure, is_large=True)
    loss = stage.metrics.get("loss")
    if not stage.is_rl and loss is not None and (figure := loss_over_steps(loss)) is not None:
        yield Drawn(name="loss", title="Loss", text=explain("metrics", "loss"), figure=figure, is_large=True)


def _panels(metrics: Mapping[str, Series]) -> Iterator[Drawn]:
    for name in metrics:
        if name in (*TIMES, *SAYS_NOTHING) or (figure := panel(metrics, {name: _titled(name)})) is None:
            continue
        yield Drawn(name=name, title=_titled(name), text=explain("metrics", name), figure=figure)
    if any(name in metrics for name in TIMES) and (figure := time_split(metrics)) is not None:
        text = "sampling, scoring and updating, stacked: where a step's time went, on rank 0"
        yield Drawn(name="time", title="Seconds of a step", text=text, figure=figure)


# ---- several runs ---------------------------------------------------------------------------------------------------


def overlays(runs: Mapping[str, StageLines]) -> list[Drawn]:
    """A stage of several runs, a line a run: accuracy of each task, response length, then all that one of them logs.

    Args:
        runs: name for the legend -> its lines.
    """
    drawn = []
    for task in dict.fromkeys(task for own in runs.values() for task in own.accuracy):
        lines = {name: own.accuracy[task] for name, own in runs.items() if task in own.accuracy}
        text = "mean accuracy of k samples on held-out problems (avg@k), a line a run"
        drawn.append(_over(f"accuracy/{task}", f"Accuracy on {task}", text, lines, shares=True, is_large=True))
    for key in dict.fromkeys(key for own in runs.values() for key in own.metrics):
        if key not in SAYS_NOTHING:
            lines = {name: own.metrics[key] for name, own in runs.items() if key in own.metrics}
            if len({value for line in lines.values() for value in line.values}) < 2:
                continue  # the same at every step of every run
            large = key == "response_tokens"
            drawn.append(_over(key, _titled(key), explain("metrics", key), lines, is_large=large))
    figures = [one for one in drawn if one is not None]
    return sorted(figures, key=lambda one: not one.is_large)


def _over(
    name: str, title: str, text: str, lines: Mapping[str, Series], *, shares: bool = False, is_large: bool = False
) -> Drawn | None:
    """None where no line has two points."""
    figure = canvas(330 if is_large else 220, "step" if is_large else "", "", shares=shares)
    if not is_large:
        figure.update_layout(margin={"l": 40, "r": 8, "t": 10, "b": 26}, font={"size": 11.5}, showlegend=False)
    for place, (run, line) in enumerate(lines.items()):
        if len(line) > 1 or (shares and len(line)):
            mode = "lines+markers" if len(line) <= 60 and is_large else "lines"
            look = stroke(run, hue(place), width=2.2 if is_large else 1.7)
            figure.add_scatter(x=line.steps, y=smooth(line.values), mode=mode, marker={"size": 6}, **look)
    return Drawn(name=name, title=title, text=text, figure=figure, is_large=is_large) if figure.data else None


NAMES = {"kl": "KL to the reference", "lr": "Learning rate", "grad_norm": "Gradient norm"}


def _titled(name: str) -> str:
    """As a person writes it; a part of a user's own file as it is."""
    spaced = name.replace("_", " ")
    return NAMES.get(name) or (name if ".py:" in name else spaced[:1].upper() + spaced[1:])
