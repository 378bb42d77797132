"""A stage's folder as the report sees it: read only, and forgiving of a stage that is still being written.

Every file may be missing. Each look at a field sees what is on disk now; only what is new is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from r1kit.report.read.logs import Log, Rows, SmallFile, Steps, read_object
from r1kit.report.read.replies import SampleBook
from r1kit.report.read.values import Row, mapping, number, objects

__all__ = ["StageFolder"]

SAMPLES_READ = 5000
"""Lines of a ``samples.jsonl`` that are looked through: for one of each route."""


class StageFolder:
    """``DIR/NN_STAGE``."""

    def __init__(self, path: Path, name: str) -> None:
        """
        Args:
            name: the stage's name, which is the folder's without its number.
        """
        self.path = path
        self.name = name
        self._files: dict[str, SmallFile[Any]] = {}
        self._metrics = Log(path / "metrics.jsonl", Steps)
        self._evals = Log(path / "eval.jsonl", lambda: Steps(("step", "task", "split", "k")))
        self._rollouts = Log(path / "rollouts.jsonl", SampleBook)
        self._samples = Log(path / "samples.jsonl", Rows, most=SAMPLES_READ)
        self._parts: dict[str, StageFolder] = {}

    def part(self, name: str) -> StageFolder:
        """A part of the stage that trains by itself; its folder may not be there yet."""
        return self._parts.setdefault(name, StageFolder(self.path / name, name))

    @property
    def parts(self) -> list[StageFolder]:
        """Those of its parts that have logged a step: a student's models, reward models."""
        logs = sorted(log for pattern in ("*/metrics.jsonl", "*/*/metrics.jsonl") for log in self.path.glob(pattern))
        return [self.part(log.parent.relative_to(self.path).as_posix()) for log in logs]

    def _json(self, name: str) -> SmallFile[Any]:
        return self._files.setdefault(name, SmallFile(self.path / name, json.loads))

    @property
    def result(self) -> dict[str, Any]:
        """``result.json``; empty until the stage is done."""
        return read_object(self._json("result.json"))

    @property
    def done(self) -> bool:
        return bool(self.result)

    @property
    def numbers(self) -> Row:
        """``metrics`` of the result: what the stage says of itself, each kind of stage in its own way."""
        return mapping(self.result.get("metrics"))

    @property
    def cost(self) -> Row:
        """Tokens and operations it took; empty for a run of an earlier version, and until the stage is done."""
        return mapping(self.result.get("cost"))

    @property
    def card(self) -> Row:
        """``card.json`` of a stage that makes samples."""
        return read_object(self._json("card.json"))

    @property
    def samples(self) -> list[Row]:
        """The first samples of a stage that makes samples."""
        return [row for row in self._samples.look() if isinstance(row.get("response"), str)]

    @property
    def memory(self) -> Row:
        """``memory.json`` of an RL stage that is done."""
        return read_object(self._json("memory.json"))

    @property
    def metrics(self) -> list[Row]:
        """``metrics.jsonl``, one row a step."""
        return self._metrics.look().rows

    @property
    def evals(self) -> list[Row]:
        """``eval.jsonl``, one row for each step, task, split and k."""
        return self._evals.look().rows

    @property
    def rollouts(self) -> SampleBook:
        """What is shown of ``rollouts.jsonl``."""
        return self._rollouts.look()

    @property
    def skipped(self) -> dict[str, int]:
        """Log -> lines of it that could not be read, a torn last one counted; logs without any are left out."""
        logs = (self._metrics, self._evals, self._rollouts, self._samples)
        return {log.path.name: log.skipped for log in logs if log.skipped}

    @property
    def gates(self) -> list[Row]:
        """``gate.json``: the base gate of each task; empty if there is none."""
        value = self._json("gate.json").look()
        return objects(value if isinstance(value, list) else [value])

    @property
    def aha(self) -> list[Row]:
        """``aha.json``: candidates, each a question, the last turn of its chain and the text around it."""
        return objects(self._json("aha.json").look())

    @property
    def steps_done(self) -> int:
        """Steps that the metrics cover."""
        rows = self.metrics
        return int(rows[-1]["step"]) if rows else 0

    @property
    def key(self) -> str:
        """Of ``key.json``: what is in the folder was made of these settings; empty for a run of an earlier version."""
        return str(read_object(self._json("key.json")).get("key", ""))

    @property
    def why(self) -> str:
        """Why the stage was done again; empty where it was not."""
        return str(read_object(self._json("key.json")).get("why", ""))

    @property
    def set_aside(self) -> list[str]:
        """Folders that hold what other settings left here (``NN_STAGE.before-1``), oldest first."""
        return sorted(path.name for path in self.path.parent.glob(f"{self.path.name}.before-*"))

    @property
    def seconds(self) -> float | None:
        """Training seconds so far, or of the whole stage once done."""
        if (seconds := number(self.result, "seconds")) is not None:
            return seconds
        rows = self.metrics
        return number(rows[-1], "seconds") if rows else None

    @property
    def written_at(self) -> float | None:
        """When a file of it was last written, in seconds since the epoch; None for an empty folder."""
        return max((file.stat().st_mtime for file in self.path.iterdir() if file.is_file()), default=None)
