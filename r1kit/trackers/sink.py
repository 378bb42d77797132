"""What a tracker is: the protocol, and what it is told of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["COLUMNS", "Sink", "Tracked", "as_markdown", "cells"]

COLUMNS = ("step", "prompt", "completion", "reward", "parts", "tokens")
"""Of a table of samples."""
LONGEST = 2000
"""Characters of a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """The run that a sink is fed with."""

    name: str
    """Of its recipe."""
    folder: Path
    id: str
    """The same for every process that feeds this run: 12 letters and digits."""
    settings: Mapping[str, Any]
    """The resolved recipe."""

    @property
    def title(self) -> str:
        return self.folder.resolve().name


class Sink(Protocol):
    """One tracker. Only its own process waits for it, and what it raises is tried again.

    A class of the user's own is built with ``(config, run)`` where it has a ``Config``, a frozen dataclass of its
    settings, else with ``(run)``.
    """

    def log(self, series: str, step: int, values: Mapping[str, float]) -> None:
        """A step's numbers. ``series``: ``r1_zero``, ``distill/small/base``, ``r1_zero/eval/countdown/dev``."""
        ...

    def table(self, series: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Samples of a step, a row each: ``COLUMNS``."""
        ...

    def artefact(self, path: Path) -> None:
        """The report, at the end of the run; again after it has gone on."""
        ...

    def flush(self) -> None:
        """When this returns, what was logged survives the end of this process. Also called after a call has raised,
        before another sink is made."""
        ...

    def has(self, series: str, step: int) -> bool | None:
        """Whether a step's numbers are there, asked after this process was killed while it sent them, or a call had
        raised; None: the sink cannot tell, and what ``log`` took is not sent again."""
        ...

    def close(self) -> None:
        """The run has ended; flushes, too."""
        ...


def cells(row: Mapping[str, Any]) -> list[Any]:
    """A sample's cells, in the order of ``COLUMNS``, long texts cut."""
    parts = row.get("parts")
    told = ", ".join(f"{name} {value}" for name, value in parts.items()) if isinstance(parts, Mapping) else ""
    values = {**row, "parts": told}
    return [_cut(values.get(name)) for name in COLUMNS]


def _cut(value: Any) -> Any:
    return value[:LONGEST] + " …" if isinstance(value, str) and len(value) > LONGEST else value


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table; texts keep their line ends as ``<br>`` and cannot close a cell."""

    def cell(value: Any) -> str:
        text = str("" if value is None else value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
        return "<br>".join(text.split("\n"))

    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, cells(row))) + " |" for row in rows)])
