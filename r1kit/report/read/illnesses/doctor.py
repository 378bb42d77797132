"""The doctor: every illness that it knows, looked for in every stage of a run. Its table of contents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from r1kit.report.read.illnesses.base import weak_base
from r1kit.report.read.illnesses.chains import decorative, mixed_language
from r1kit.report.read.illnesses.form import answer_never_found, format_never_matched
from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.illnesses.learning import (
    collapsed_entropy,
    far_from_reference,
    rising_loss,
    sampler_gap,
    too_fast,
)
from r1kit.report.read.illnesses.lengths import length_collapse, repetition, truncation
from r1kit.report.read.illnesses.machine import dead_engine, full_disk, stalled
from r1kit.report.read.illnesses.patient import Patient, Recent
from r1kit.report.read.illnesses.rewards import all_right, flat_reward, gamed_parts, hacked_model
from r1kit.report.read.illnesses.verifying import timeouts, ungradable
from r1kit.report.read.logs import stamp
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder

__all__ = ["Doctor", "illnesses"]

Look = Callable[[Patient], Iterator[Illness]]

WRITTEN: tuple[Look, ...] = (
    sampler_gap,
    too_fast,
    rising_loss,
    weak_base,
    collapsed_entropy,
    timeouts,
    ungradable,
    truncation,
    repetition,
    length_collapse,
    format_never_matched,
    answer_never_found,
    flat_reward,
    far_from_reference,
    hacked_model,
    gamed_parts,
    decorative,
    mixed_language,
    all_right,
)
"""Read off a stage's files: the same until one of them changes. Causes stand before what follows from them."""
NOW: tuple[Look, ...] = (dead_engine, stalled, full_disk)
"""Of a run that is going on: looked for at every look."""
FILES = ("metrics.jsonl", "rollouts.jsonl", "eval.jsonl", "gate.json", "result.json")


class Doctor:
    """Of one run; each look reads only what is new."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._recent: dict[Path, Recent] = {}
        self._found: dict[Path, tuple[object, list[Illness]]] = {}

    def look(self, now: float) -> list[Illness]:
        """What is found now: in order of the stages, what is serious first.

        Args:
            now: seconds since the epoch.
        """
        found = [illness for stage in self.run.stages for illness in self._examined(stage, now)]
        order = {name: place for place, name in enumerate(self.run.planned)}
        return sorted(found, key=lambda one: (order.get(one.stage, -1), one.severity != "serious"))

    def _examined(self, stage: StageFolder, now: float) -> list[Illness]:
        recent = self._recent.setdefault(stage.path, Recent(stage.path / "rollouts.jsonl"))
        patient = Patient(self.run, stage, recent, now, stage.metrics)
        read = tuple(map(stamp, (self.run.path / "recipe.toml", *(stage.path / name for name in FILES))))
        if self._found.get(stage.path, ((),))[0] != read:
            self._found[stage.path] = read, [illness for look in WRITTEN for illness in look(patient)]
        return [illness for look in NOW for illness in look(patient)] + self._found[stage.path][1]


def illnesses(run: RunFolder, now: float) -> list[Illness]:
    """One look at a run."""
    return Doctor(run).look(now)
