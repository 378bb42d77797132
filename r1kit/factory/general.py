"""The non-reasoning part: from a nano task's generator, a file or a data set of the hub (R1 paper, 2.3.3)."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from r1kit.data.settings import Reading
from r1kit.errors import InputError, MissingError
from r1kit.factory.sources import check_rows, samples_from
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
    """A file or a folder of prompts with responses, in any layout of ``docs/data.md``; ``id``, ``domain`` and
    ``language`` are optional."""
    read: Reading = field(default_factory=Reading)
    """How its rows are read."""
    dataset: str = ""
    """A data set of the hub, or a folder."""
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
        check_rows(config.path, _reading(config), "responses", f"{where}.path")  # told now, not after hours
    if config.dataset and importlib.util.find_spec("datasets") is None:
        raise MissingError(f"{where}.dataset needs the package datasets; run pip install 'r1kit[data]'")


def general_samples(config: General, tasks: Mapping[str, Task], seed: int) -> list[Sample]:
    """All of them, in a fixed order, each with an id of its own: files of one name have the same."""
    found = [sample for name in config.tasks for sample in tasks[name].good_samples(config.count, seed)]
    if config.path:
        found += _of_rows(config.path, _reading(config), "jsonl")
    if config.dataset:
        columns = {"prompt": config.prompt_column, "response": config.response_column}
        reading = replace(_reading(config), split=config.split, columns=columns)
        found += _of_rows(config.dataset, reading, "dataset")
    times = Counter[str]()
    for place, sample in enumerate(found):
        if again := times[sample.id]:
            found[place] = replace(sample, id=f"{sample.id}/again/{again}")
        times[sample.id] += 1
    return found


def _reading(config: General) -> Reading:
    return replace(config.read, limit=config.limit or config.read.limit)


def _of_rows(source: str, reading: Reading, route: str) -> list[Sample]:
    own = {"route": route, "stage": "", "version": 0, "kind": "", "completion": "", "edits": []}
    return [replace(sample, provenance={**own, **sample.provenance}) for sample in samples_from(source, reading)]
