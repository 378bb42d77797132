"""Where a run stands, in a terminal: one line a stage."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from r1kit.report.read.status import RunStatus, StageStatus
from r1kit.report.read.wording import about, duration

__all__ = ["draw_status"]

STYLES = {"done": "green", "running": "yellow", "stopped": "red", "waiting": "dim"}


def draw_status(run: RunStatus, console: Console) -> None:
    seed = "" if run.seed is None else f", seed {run.seed}"
    console.print(Text(f"{run.path}: recipe {run.recipe}{seed}", "bold"))
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    going = any(stage.left and stage.state != "done" for stage in run.stages)
    for name in ("stage", "state", "time", *(["left"] if going else []), "result"):
        shown.add_column(name, justify="right" if name in ("time", "left") else "left", overflow="fold")
    for stage in run.stages:
        spent = "" if stage.seconds is None or stage.state == "waiting" else duration(stage.seconds)
        left = ["" if stage.state == "done" or stage.left is None else about(stage.left)] if going else []
        shown.add_row(stage.name, Text(_state(stage), STYLES[stage.state]), spent, *left, Text(stage.reached))
    console.print(shown)
    if run.left:
        console.print(Text(f"about {about(run.left)} left of the run"))
    for note in run.notes:
        console.print(Text(note))


def _state(stage: StageStatus) -> str:
    """``done``, ``running, step 40 of 110``, ``stopped at step 40 of 110`` or ``waiting``."""
    if stage.state in ("done", "waiting"):
        return stage.state
    of = "" if stage.steps is None else f" of {stage.steps}"
    return f"{stage.state}{',' if stage.state == 'running' else ' at'} step {stage.steps_done}{of}"
