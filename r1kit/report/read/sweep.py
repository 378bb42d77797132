"""Several runs beside each other: which settings differ between them, and what each setting came to, with intervals.

Runs that differ in ``seed`` alone are one column: the mean over them, with the 95% interval of Student's t over seeds.
A run that has no such neighbours has its evaluation's own interval, over clusters of problems.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from r1kit.errors import InputError
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import Row, interval_of, number

__all__ = ["Column", "Seen", "columns", "differing", "named", "over_seeds"]

TOLD = ("name", "summary", "hardware", "time", "expect", "trackers")
"""Of a recipe: what changes no result."""
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t, two-sided 95%, for 1 to 10 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Newest accuracy, as a share, of one model on one task."""

    value: float
    ends: tuple[float, float] | None
    """95% interval; None: not known."""


@dataclass(frozen=True, slots=True)
class Column:
    """Runs that differ in their seed alone."""

    runs: Sequence[str]
    found: Mapping[str, Seen]
    """``r1_zero countdown test avg@16`` -> what it came to."""


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Name -> folder: its own name, with as much of the path as tells it from the others.

    Raises:
        InputError: one is no run folder, or is there twice.
    """
    found = [path.expanduser().resolve() for path in paths]
    if twice := [str(path) for path in found if found.count(path) > 1]:
        raise InputError(f"{twice[0]} is named twice; name each run once")
    for path, given in zip(found, paths, strict=True):
        RunFolder(path if path.is_dir() else given)  # the error names the path as it was given
    names, more = [path.name for path in found], 1
    while len(set(names)) < len(names):
        more += 1
        names = [
            "/".join(path.parts[-more:]) if names.count(name) > 1 else name
            for path, name in zip(found, names, strict=True)
        ]
    return dict(zip(names, found, strict=True))


def differing(runs: Mapping[str, RunFolder]) -> dict[str, dict[str, str]]:
    """Setting -> run -> its value, of those that not all runs have alike; ``–`` where a run has no such setting."""
    flat = {name: dict(_flat(run.recipe)) for name, run in runs.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    told = {key: {name: settings.get(key, "–") for name, settings in flat.items()} for key in keys}
    return {key: values for key, values in told.items() if len(set(values.values())) > 1}


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Settings as ``--set`` spells them: a stage's without ``stages.``."""
    for key, value in table.items():
        if not before and key in TOLD:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, "" if not before and key == "stages" else f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value).lower() if isinstance(value, bool) else str(value)


def columns(runs: Mapping[str, RunFolder]) -> list[Column]:
    """Runs that are alike but for the seed together, in the order they were named."""
    apart = {key: values for key, values in differing(runs).items() if key != "seed"}
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in runs:
        groups.setdefault(tuple(values[name] for values in apart.values()), []).append(name)
    return [Column(names, _together([dict(_newest(runs[name])) for name in names])) for names in groups.values()]


def _together(found: Sequence[Mapping[str, Seen]]) -> dict[str, Seen]:
    """What all of them have."""
    common = [label for label in found[0] if all(label in each for each in found)]
    return {label: over_seeds([each[label] for each in found]) for label in common}


def over_seeds(found: Sequence[Seen]) -> Seen:
    """Mean of runs with its 95% interval, ``t s / sqrt(n)`` by the sample's standard deviation; of one run its own."""
    if len(found) == 1:
        return found[0]
    values, free = [one.value for one in found], len(found) - 1
    quantile = T95[free - 1] if free <= len(T95) else 1.96 + 2.5 / free
    half = quantile * stdev(values) / math.sqrt(len(values))
    return Seen(fmean(values), (fmean(values) - half, fmean(values) + half))


def _newest(run: RunFolder) -> Iterator[tuple[str, Seen]]:
    """Of each stage, model and task the newest evaluation; on test where that was looked at with it."""
    for stage in run.stages:
        best: dict[tuple[str, str], Row] = {}
        for row in stage.evals:
            key = str(row.get("checkpoint", "")), str(row.get("task", ""))
            if number(row, "avg_at_k") is not None and _rank(row) >= _rank(best.get(key, {})):
                best[key] = row
        for (checkpoint, task), row in best.items():
            words = [stage.name, checkpoint, task, str(row.get("split", "")), f"avg@{_rank(row)[2]:.0f}"]
            yield " ".join(filter(None, words)), Seen(float(row["avg_at_k"]), interval_of(row))


def _rank(row: Row) -> tuple[float, bool, float]:
    return number(row, "step") or 0.0, row.get("split") == "test", number(row, "k") or 0.0
