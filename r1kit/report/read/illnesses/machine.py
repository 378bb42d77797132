"""What keeps a running stage from going on: a dead engine, silence, a full disk."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.illnesses.patient import Patient
from r1kit.report.read.values import Row, mapping, number
from r1kit.report.read.wording import duration

__all__ = ["dead_engine", "full_disk", "stalled"]

MOST_LOSSES = 3
"""Times that a helper may be lost and come back: a host is taken away and given again."""
QUIET = 600.0
"""Seconds without a write after which a stage that has not shown its pace is called stalled: large models load."""
QUIET_PACES = 10.0
"""The same as a multiple of the longest time between two of its lines: an evaluation is among those."""
LEAST_QUIET = 120.0
"""Seconds of silence that are always let pass: a machine is busy with something else."""
LEAST_FREE = 1e9
"""Bytes: a checkpoint, a resume point and the one before it of the smallest models."""
POINTS = 3
"""Resume points that must still fit: two are kept while a third is written."""


def dead_engine(patient: Patient) -> Iterator[Illness]:
    """An engine, or a verifier, in a process of its own does not serve, or is lost again and again."""
    if not _is_running(patient):
        return
    newest = {(row.get("kind"), row.get("number")): row for row in patient.run.helpers}
    losses = Counter((row.get("kind"), row.get("number")) for row in patient.run.helpers if row.get("lost"))
    for helper, row in newest.items():
        times, name, kind = losses[helper], row.get("name"), row.get("kind")
        if not row.get("lost") and times < MOST_LOSSES:
            continue
        others = sum(not one.get("lost") for of, one in newest.items() if of[0] == kind and of != helper)
        left = f"{others} of the others {'serves' if others == 1 else 'serve'}" if others else "no other serves"
        away = f"{name} does not serve: {row.get('lost')}; {left}"
        yield patient.ill(
            f"dead {kind}",
            "serious" if row.get("lost") and not others else "warning",
            away if row.get("lost") else f"{name} serves again after it was lost {times} times",
            since=_step_at(patient, row),
            helps="The run goes on with the others, slower, and takes it back when it is there again; without any it "
            "ends. Look at its host, its memory and its log; a host that is often lost is better left out.",
            setting="",
            metric="tokens_per_second",
        )


def _is_running(patient: Patient) -> bool:
    """Whether it is the stage that runs now: the last that has a folder, of a run that is held."""
    return bool(patient.run.stages[-1].path == patient.stage.path and not patient.stage.done and patient.run.is_held)


def _step_at(patient: Patient, row: Row) -> int | None:
    """About the step at the time of a line: steps count seconds, and the newest one was logged as the stage wrote."""
    at, seconds, written = number(row, "at"), patient.line("seconds"), patient.stage.written_at
    if at is None or written is None or not len(seconds):
        return None
    then = seconds.values[-1] - (written - at)
    logged = zip(seconds.steps, seconds.values, strict=True)
    return next((step for step, value in logged if value >= then), seconds.steps[-1])


def stalled(patient: Patient) -> Iterator[Illness]:
    """The run is held and nothing has been written for long."""
    written = _newest(patient)
    if written is None or not _is_running(patient) or _waits_for_people(patient):
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


def _files(patient: Patient) -> Iterator[tuple[Path, os.stat_result]]:
    """Files of the stage and of its parts; some may go while they are counted."""
    for path in patient.stage.path.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                yield path, path.stat()


def _newest(patient: Patient) -> float | None:
    """When any of its files was written last."""
    return max((stat.st_mtime for _, stat in _files(patient)), default=None)


def _waits_for_people(patient: Patient) -> bool:
    """Whether a queue for people is there, which a stage may stay for."""
    return patient.setting("review") == "human" and (patient.stage.path / "review.jsonl").is_file()


def _allowed(patient: Patient) -> float:
    seconds = patient.line("seconds").values
    longest = max((after - before for before, after in pairwise(seconds)), default=0.0)
    return max(LEAST_QUIET, QUIET_PACES * max(longest, *seconds[:1])) if seconds else QUIET


def full_disk(patient: Patient) -> Iterator[Illness]:
    """Too little is left for the next checkpoints."""
    if not _is_running(patient):
        return
    free = shutil.disk_usage(patient.run.path).free
    point = sum(stat.st_size for path, stat in _files(patient) if path.suffix in (".pt", ".safetensors"))
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
