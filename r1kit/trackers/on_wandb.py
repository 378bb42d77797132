"""Weights & Biases, online or offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from r1kit.trackers.sink import COLUMNS, Tracked, cells

__all__ = ["Wandb"]


class Wandb:
    """One run; a series stands before each name, and is drawn over its own step, ``r1_zero/step``."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        project: str = ""
        """Empty: the recipe's name."""
        entity: str = ""
        """User or team; empty: as wandb is set up."""
        name: str = ""
        """Of the run; empty: the run folder's."""
        mode: Literal["", "online", "offline"] = ""
        """Empty: as wandb is set up (``WANDB_MODE``)."""
        folder: str = ""
        """Where wandb keeps its files; empty: ``DIR``, so in ``DIR/wandb``."""

    def __init__(self, config: Config, run: Tracked) -> None:
        import wandb

        self._wandb = wandb
        self._id = run.id
        self._run = wandb.init(
            project=config.project or run.name, entity=config.entity or None, name=config.name or run.title, id=run.id,
            resume="allow", mode=config.mode or None, dir=config.folder or str(run.folder),  # type: ignore[arg-type]
            config=dict(run.settings),
            settings=wandb.Settings(console="off", x_disable_stats=True, silent=True, disable_git=True),
        )  # fmt: skip
        self._series: set[str] = set()

    def log(self, series: str, step: int, values: Mapping[str, float]) -> None:
        self._on_its_step(series)
        self._run.log({f"{series}/step": step, **{f"{series}/{name}": value for name, value in values.items()}})

    def table(self, series: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._on_its_step(series)
        table = self._wandb.Table(columns=list(COLUMNS), data=[cells(row) for row in rows], allow_mixed_types=True)
        self._run.log({f"{series}/step": step, f"{series}/samples": table})

    def artefact(self, path: Path) -> None:
        artefact = self._wandb.Artifact(f"report-{self._id}", type="report")
        artefact.add_file(str(path))
        self._run.log_artifact(artefact)

    def flush(self) -> None:
        """wandb's own process keeps what it was handed."""

    def has(self, series: str, step: int) -> bool | None:
        return None

    def close(self) -> None:
        self._run.finish()

    def _on_its_step(self, series: str) -> None:
        if series not in self._series:
            self._series.add(series)
            self._run.define_metric(f"{series}/step", hidden=True)
            self._run.define_metric(f"{series}/*", step_metric=f"{series}/step")
