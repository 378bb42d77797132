"""MLflow: a tracking server, or a database file in the run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.trackers.sink import Tracked, as_markdown

__all__ = ["Mlflow"]

TAG = "r1kit.id"


class Mlflow:
    """One run; a series stands before each name: ``r1_zero/accuracy``. Samples and the report are artefacts."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        uri: str = ""
        """Of the tracking server or store; empty: ``MLFLOW_TRACKING_URI``, else ``DIR/mlflow.db``."""
        experiment: str = ""
        """Empty: the recipe's name."""
        name: str = ""
        """Of the run; empty: the run folder's."""

    @staticmethod
    def needs(config: Config) -> tuple[str, ...]:
        """Packages: ``mlflow-skinny`` brings the first, and knows servers but no database."""
        uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        return ("mlflow",) if uri and "sql" not in uri.partition("://")[0] else ("mlflow", "sqlalchemy")

    def __init__(self, config: Config, run: Tracked) -> None:
        from mlflow import MlflowClient

        folder = run.folder.resolve()
        own = f"sqlite:///{folder / 'mlflow.db'}"
        uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI", "") or own
        self._client = MlflowClient(tracking_uri=uri)
        experiment = config.experiment or run.name
        found = self._client.get_experiment_by_name(experiment)
        place = {"artifact_location": (folder / "mlflow").as_uri()} if uri == own else {}
        number = found.experiment_id if found else self._client.create_experiment(experiment, **place)
        runs = self._client.search_runs([number], filter_string=f"tags.`{TAG}` = '{run.id}'")
        made = runs[0] if runs else self._client.create_run(
            number, run_name=config.name or run.title, tags={TAG: run.id}
        )  # fmt: skip
        self._run: str = made.info.run_id
        if runs:
            self._client.update_run(self._run, status="RUNNING")
        else:
            for name in ("name", "seed", "ranks", "device", "dtype"):
                self._client.log_param(self._run, name, run.settings.get(name))

    def log(self, series: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(f"{series}/{name}", value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics, synchronous=True)

    def table(self, series: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._client.log_text(self._run, as_markdown(rows), f"samples/{series}/{step}.md")

    def artefact(self, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def flush(self) -> None:
        """Every call was answered by the server."""

    def has(self, series: str, step: int) -> bool | None:
        """A step goes in one transaction, so one of its metrics stands for all."""
        names = [name for name in self._client.get_run(self._run).data.metrics if name.rpartition("/")[0] == series]
        return any(metric.step == step for name in names[:1]
                   for metric in self._client.get_metric_history(self._run, name))  # fmt: skip

    def close(self) -> None:
        self._client.set_terminated(self._run)
