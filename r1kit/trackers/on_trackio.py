"""trackio: its local store, or a Space on the hub."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.trackers.sink import COLUMNS, Tracked, cells

__all__ = ["Trackio"]

SETTLE_SECONDS = 0.6
"""trackio writes from a thread of its own, every half second."""


class Trackio:
    """One run; a series stands before each name: ``r1_zero/accuracy``. Steps of all series go up in one count, and each
    line carries its series' own as ``r1_zero/step``."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        project: str = ""
        """Empty: the recipe's name."""
        name: str = ""
        """Of the run; empty: the run folder's name and the run's id."""
        space: str = ""
        """A Space to log to; empty: this machine's store."""

    def __init__(self, config: Config, run: Tracked) -> None:
        import trackio

        self._trackio = trackio
        self._project = config.project or run.name
        self._name = config.name or f"{run.title}-{run.id[:6]}"
        self._run = trackio.init(
            project=self._project, name=self._name, space_id=config.space or None, resume="allow", embed=False,
            config=dict(run.settings), auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        self._space = config.space

    def log(self, series: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{series}/step": step, **{f"{series}/{name}": value for name, value in values.items()}})

    def table(self, series: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        table = self._trackio.Table(columns=list(COLUMNS), data=[cells(row) for row in rows])
        self._run.log({f"{series}/samples": table})

    def artefact(self, path: Path) -> None:
        self._trackio.save(str(path), project=self._project)

    def flush(self) -> None:
        time.sleep(SETTLE_SECONDS)

    def has(self, series: str, step: int) -> bool | None:
        """In the local store."""
        if self._space:
            return None
        logs = self._trackio.SQLiteStorage.get_logs(self._project, self._name)
        return any(row.get(f"{series}/step") == step for row in logs)

    def close(self) -> None:
        self._trackio.finish()
