"""Where a run stands, in a terminal: one line a stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from r1kit.report.findings import compare, duration, share, short
from r1kit.report.printing import printable
from r1kit.report.run_folder import RunFolder, StageFolder, mapping, number

__all__ = ["print_status"]

QUIET_SECONDS = 120
"""A stage whose logs have not moved for so long is called stopped, not running."""


def print_status(path: Path, console: Console, now: float | None = None) -> None:
    """Where a run stands, one line a stage: state, steps, time, headline metric.

    Args:
        now: seconds since the epoch, to tell a live run from a stopped one; the clock's by default.

    Raises:
        InputError: the path is no run folder.
    """
    run = RunFolder(path)
    with printable(console):
        _status(run, console, time.time() if now is None else now)


def _status(run: RunFolder, console: Console, clock: float) -> None:
    seed = run.manifest.get("seed")
    console.print(
        Text(f"{run.path}: recipe {run.recipe_name}" + (f", seed {seed}" if seed is not None else ""), "bold")
    )
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name, justify in (("stage", "left"), ("state", "left"), ("time", "right"), ("result", "left")):
        shown.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    notes = []
    waiting = False
    for name in run.planned:
        stage = run.stage(name)
        state, style = ("waiting", "dim") if waiting else _state(run, stage, clock)
        waiting = waiting or stage is None or not stage.done
        seconds = stage.seconds if stage else None
        time_spent = "" if seconds is None or state == "waiting" else duration(seconds)
        shown.add_row(name, Text(state, style), time_spent, Text(_headline(stage)))
        if stage is not None and stage.set_aside:
            kept = ", ".join(stage.set_aside)
            notes.append(f"{name} was done again: {stage.why or 'changed'}; the earlier result is kept in {kept}")
    notes += [f"{name} will be done again by the next run: {why}" for name, why in run.outdated.items()]
    console.print(shown)
    for note in notes:
        console.print(Text(note))


def _state(run: RunFolder, stage: StageFolder | None, clock: float) -> tuple[str, str]:
    """``done``, ``running, step 40 of 110``, ``stopped at step 40 of 110`` or ``waiting``, and its colour."""
    if stage is None:
        return "waiting", "dim"
    if stage.done:
        return "done", "green"
    steps = run.planned_steps(stage.name)
    of = f" of {steps}" if steps is not None else ""
    logs = [file.stat().st_mtime for file in stage.path.iterdir() if file.is_file()]
    live = bool(logs) and clock - max(logs) < QUIET_SECONDS
    if live:
        return f"running, step {stage.steps_done}{of}", "yellow"
    return f"stopped at step {stage.steps_done}{of}", "red"


def _headline(stage: StageFolder | None) -> str:
    """What the stage reached, in a few words: its evaluation, else its reward, else its loss."""
    if stage is None:
        return ""
    if stage.name in _TOLD:
        return _TOLD[stage.name](stage)
    found = compare(stage)
    if found:
        first, k = found[0], found[0].curve.k
        return f"avg@{k} {share(number(first.before, 'avg_at_k'))} → {share(number(first.after, 'avg_at_k'))}"
    last = stage.metrics[-1] if stage.metrics else {}
    for key in ("accuracy", "reward", "loss"):
        if (value := number(last, key)) is not None:
            return f"{key} {short(value)}"
    return ""


def _made(stage: StageFolder) -> str:
    samples = number(stage.numbers, "samples")
    return "" if samples is None else f"{samples:,.0f} samples"


def _ranked(stage: StageFolder) -> str:
    found = {str(name): number(mapping(row), "accuracy") for name, row in stage.numbers.items()}
    return ", ".join(f"{name} {share(value)}" for name, value in found.items() if value is not None)


def _taught(stage: StageFolder) -> str:
    """Each student's first task, distilled."""
    found = {str(name): mapping(mapping(row).get("distilled")) for name, row in stage.numbers.items()}
    values = {name: number(mapping(next(iter(tasks.values()), {})), "avg_at_k") for name, tasks in found.items()}
    return ", ".join(f"{name} {share(value)}" for name, value in values.items() if value is not None)


def _judged(stage: StageFolder) -> str:
    return f"{len(stage.numbers)} checkpoints" if stage.numbers else ""


_TOLD: Mapping[str, Callable[[StageFolder], str]] = {
    "cold_start": _made,
    "rejection_sampling": _made,
    "reward_models": _ranked,
    "distill": _taught,
    "evaluate": _judged,
}
"""What a stage that trains no policy reached."""
