"""The non-reasoning part: from a nano task's generator, a JSONL file or a ``datasets`` name (R1 paper, 2.3.3)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, MissingError, first_line
from r1kit.factory.samples import sample_of
from r1kit.files import strict_lines
from r1kit.records import Sample
from r1kit.tasks.task import Task

__all__ = ["General", "check_general", "general_samples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class General:
    """Samples that are no reasoning problems; each source that is named adds its own."""

    tasks: tuple[str, ...] = ()
    """Tasks of the recipe with a generator of good responses (``good_samples``)."""
    count: int = 200
    """Samples of each such task."""
    path: str = ""
    """A JSONL file of ``{"prompt", "response"}`` lines; ``id``, ``domain`` and ``language`` are optional."""
    dataset: str = ""
    """A name or folder that ``datasets.load_dataset`` opens."""
    split: str = "train"
    prompt_column: str = "prompt"
    response_column: str = "response"
    limit: int = 0
    """Rows of the file, and of the data set, at most; 0: all."""


def check_general(config: General, tasks: Mapping[str, Task], where: str) -> None:
    """Raise InputError or MissingError for a source that cannot be had, before anything runs."""
    for name in config.tasks:
        if name in tasks and "good_samples" not in tasks[name].offers:
            raise InputError(
                f"{where}.tasks: {name!r} has no generator of good responses; name a task that has one, as kind general"
            )
    if config.tasks and config.count < 1:
        raise InputError(f"{where}.count = {config.count}: must be at least 1")
    if config.path and not Path(config.path).is_file():
        raise InputError(f"{where}.path = {config.path!r}: no such file")
    if config.path:
        _of_file(Path(config.path), config.limit)  # a broken line is told now, not after hours
    if config.dataset and importlib.util.find_spec("datasets") is None:
        raise MissingError(f"{where}.dataset needs the package datasets; run pip install 'r1kit[data]'")


def general_samples(config: General, tasks: Mapping[str, Task], seed: int) -> list[Sample]:
    """All of them, in a fixed order."""
    found = [sample for name in config.tasks for sample in tasks[name].good_samples(config.count, seed)]
    if config.path:
        found += _of_file(Path(config.path), config.limit)
    if config.dataset:
        found += _of_dataset(config)
    return found


def _of_file(path: Path, limit: int) -> list[Sample]:
    samples: list[Sample] = []
    for line in strict_lines(path, '{"prompt": ..., "response": ...}', may_be_empty=True):
        where, table = line.where, line.table
        sample = sample_of(where, table, f"{path.stem}/{len(samples)}")
        samples.append(replace(sample, provenance={**_provenance("jsonl"), **sample.provenance}))
        if len(samples) == limit:
            break
    return samples


def _of_dataset(config: General) -> list[Sample]:
    import datasets  # type: ignore[import-not-found, import-untyped, unused-ignore]

    try:
        rows = datasets.load_dataset(config.dataset, split=config.split)
    except Exception as error:  # whatever the hub, the network or a loading script raises
        raise InputError(f"data set {config.dataset!r}, split {config.split!r}: {first_line(error)}") from error
    for column in (config.prompt_column, config.response_column):
        if column not in rows.column_names:
            raise InputError(
                f"data set {config.dataset!r} has no column {column!r}; it has {', '.join(rows.column_names)}"
            )
    samples = []
    for number, row in enumerate(rows):
        if config.limit and number >= config.limit:
            break
        where = f"{config.dataset}:{number}"
        table = {"prompt": row[config.prompt_column], "response": row[config.response_column]}
        for key in ("language", "domain"):
            if isinstance(row.get(key), str):
                table[key] = row[key]
        table["provenance"] = _provenance("dataset")
        samples.append(sample_of(where, table, where))
    return samples


def _provenance(route: str, kind: str = "") -> dict[str, Any]:
    return {"route": route, "stage": "", "version": 0, "kind": kind, "completion": "", "edits": []}
