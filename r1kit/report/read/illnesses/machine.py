"""What keeps a running stage from going on: a dead engine, silence, a full disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise

from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.illnesses.patient import Patient
from r1kit.report.read.values import mapping, number
from r1kit.report.read.wording import duration

__all__ = ["full_disk", "stalled"]

QUIET = 300.0
"""Seconds without a new line after which a stage that has not shown its pace is called stalled."""
QUIET_PACES = 10.0
"""The same as a multiple of the longest time between two of its lines: an evaluation is among those."""
LEAST_QUIET = 120.0
"""Seconds of silence that are always let pass: a machine is busy with something else."""
LEAST_FREE = 1e9
"""Bytes: a checkpoint, a resume point and the one before it of the smallest models."""
POINTS = 3
"""Resume points that must still fit: two are kept while a third is written."""


def stalled(patient: Patient) -> Iterator[Illness]:
    """The run is held and nothing has been written for long."""
    written = patient.stage.written_at
    if patient.stage.done or not patient.run.is_held or written is None or not _is_last(patient):
        return
    quiet, allowed = patient.now - written, _allowed(patient)
    if quiet < allowed:
        return
    engines = int(number(mapping(patient.run.recipe.get("cluster")), "engines") or 0)
    named = f", and its {engines} engine{'s are' if engines > 1 else ' is'} a process of its own" if engines else ""
    yield patient.ill(
        "stalled",
        "serious",
        f"nothing was written for {duration(quiet)} while a process holds the run (before, the longest time between "
        f"two lines allowed {duration(allowed)}){named}",
        since=patient.stage.steps_done or None,
        helps="See whether its processes use the processor: a helper that is stopped, a verifier that hangs or a dead "
        "engine looks like this. Ctrl-C ends the run with what it has, and the same command goes on.",
        metric="seconds",
    )


def _allowed(patient: Patient) -> float:
    seconds = patient.line("seconds").values
    longest = max((after - before for before, after in pairwise(seconds)), default=0.0)
    return max(LEAST_QUIET, QUIET_PACES * max(longest, *seconds[:1])) if seconds else QUIET


def _is_last(patient: Patient) -> bool:
    """Whether it is the stage that runs: the last that has a folder."""
    return patient.run.stages[-1].name == patient.stage.name


def full_disk(patient: Patient) -> Iterator[Illness]:
    """Too little is left for the next checkpoints."""
    if patient.stage.done or not patient.run.is_held or not _is_last(patient):
        return
    free = shutil.disk_usage(patient.run.path).free
    point = sum(path.stat().st_size for path in patient.stage.path.rglob("*") if path.suffix in (".pt", ".safetensors"))
    if free >= max(LEAST_FREE, POINTS * point):
        return
    yield patient.ill(
        "disk nearly full",
        "warning",
        f"{free / 1e9:.2f} GB are free where the run lies, and what this stage keeps takes {point / 1e9:.2f} GB",
        since=patient.stage.steps_done or None,
        helps="Free some, or move the folder. A run that finds no room stops, and the same command goes on.",
        setting="",
    )
