"""Where a run stands, in a terminal: one line a stage."""

from __future__ import annotations

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.report.draw.printing import STYLES, harmless, indented
from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.status import RunStatus, StageStatus
from r1kit.report.read.wording import about, duration, roughly, settable

__all__ = ["draw_status"]

LONGEST_EXAMPLE = 400
"""Characters that are shown of a completion."""
SEVERITY = {"serious": "bold red", "warning": "bold yellow"}


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
        console.print(Text(f"{roughly(run.left)} left of the run"))
    for note in run.notes:
        console.print(Text(note))
    for log, lines in run.skipped.items():
        console.print(Text(f"{log}: {lines:,} damaged {'line' if lines == 1 else 'lines'} left out"))
    if run.illnesses:
        console.print()
    for illness in run.illnesses:
        console.print(_illness(illness))


def _illness(illness: Illness) -> Group:
    """What was seen, since when; the completion that shows it; what helps, and the setting."""
    since = "" if illness.since is None else f", since step {illness.since}"
    head = Text(f"{illness.stage}: {illness.name}", SEVERITY[illness.severity])
    parts: list[Text | Padding] = [head.append(f"{since}: {harmless(illness.seen)}", "not bold default")]
    if (example := illness.example) is not None:
        at = "" if example.step is None else f" of step {example.step}"
        whole = example.completion.strip()
        shown = whole if len(whole) <= LONGEST_EXAMPLE else whole[:LONGEST_EXAMPLE] + " …"
        parts += [indented(f"a completion{at} ({example.says}):"), Padding(indented(shown), (0, 0, 0, 2), style="dim")]
    parts.append(indented(illness.helps))
    if illness.setting:
        is_set = "" if illness.value is None else f" = {settable(illness.value)}"
        parts.append(indented(f"setting: {illness.setting}{is_set}"))
    return Group(*parts)


def _state(stage: StageStatus) -> str:
    """``done``, ``running, step 40 of 110``, ``stopped at step 40 of 110`` or ``waiting``."""
    if stage.state in ("done", "waiting"):
        return stage.state
    of = "" if stage.steps is None else f" of {stage.steps}"
    return f"{stage.state}{',' if stage.state == 'running' else ' at'} step {stage.steps_done}{of}"
