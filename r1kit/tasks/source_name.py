"""A task from the name of a file, a folder or a hub data set, as a command line has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1kit.data.find import code_format
from r1kit.data.settings import Reading
from r1kit.data.source import is_path, open_rows
from r1kit.errors import InputError
from r1kit.structure import plain
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.data import DataConfig

if TYPE_CHECKING:
    from r1kit.tasks.benchmark.task import BenchmarkConfig

__all__ = ["changed", "is_source", "named_source", "task_of_source"]

FAMILIES = ("benchmark", "code", "reasoning_gym", "verifiers")
"""First parts of other tasks' names."""
JUDGED = "test|validation|train"
"""Which split is judged: the first that there is."""


def is_source(name: str) -> bool:
    """Whether a name that is no other task's can be a source's: a path, or ``OWNER/NAME`` on the hub."""
    owner, slash, _ = name.partition("/")
    return is_path(name) or (bool(slash) and owner not in FAMILIES)


def changed(config: DataConfig | CodeConfig | BenchmarkConfig) -> dict[str, Any]:
    """The settings that differ from their defaults, as plain values; where the rows come from first."""
    given, defaults = plain(config), plain(type(config)(path="."))
    keys = sorted(given, key=lambda key: key not in ("path", "test_path", "subset", "split", "test_split"))
    return {key: given[key] for key in keys if given[key] != defaults[key]}


def task_of_source(name: str) -> tuple[str, str, dict[str, Any]]:
    """(name, kind, settings) of a task whose test split is all of ``SOURCE``, ``SOURCE:SUBSET`` or
    ``SOURCE:SUBSET:SPLIT``.

    Raises:
        InputError: there is no such source.
        MissingError: a package or the network is needed that is not here.
    """
    called, table = named_source(name)
    config = DataConfig(**table, test_path=table["path"])
    form = _code_format(config.path, config.reading)
    return called, f"code/{form}" if form else "data", changed(config)


def named_source(name: str) -> tuple[str, dict[str, Any]]:
    """(name of a task, path, subset and split) of ``SOURCE``, ``SOURCE:SUBSET`` or ``SOURCE:SUBSET:SPLIT``."""
    path, subset, split = (name, "", "") if is_path(name) else [*name.split(":", 2), "", ""][:3]
    one_file = Path(path).expanduser().is_file() or (is_path(path) and not Path(path).expanduser().is_dir())
    found = {"path": path, "subset": subset, "split": split or ("" if one_file else JUDGED)}
    return Path(path).name.partition(".")[0], {key: value for key, value in found.items() if value}


def _code_format(path: str, reading: Reading) -> str | None:
    """Told from the first row that can be read; what is wrong with those before it is for the task's settings."""
    rows = open_rows(path, replace(reading, bad_lines="skip"))
    try:
        return code_format(next(iter(rows)).table)
    except InputError:
        return None
