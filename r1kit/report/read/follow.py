"""What has come to a run folder since it was looked at last: stages that began or ended, steps, evaluations.

Each step and each evaluation comes once, also when a log is cut back to a resume point and its steps are done again, as
long as the stage is the same: marks say how far each log was told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from r1kit.report.read.logs import Log
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import Row, number
from r1kit.resume import newest_point

__all__ = ["Event", "Follower", "Mark", "is_new", "take"]


LABELS = ("step", "split", "task", "k", "checkpoint")
"""What tells two evaluations of a stage apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: Literal["begun", "step", "evaluation", "done"]
    stage: str
    part: str = ""
    """Of the stage, where it trains more than one model."""
    row: Row = field(default_factory=dict)
    """The line of the log, or ``result.json``."""
    key: str = ""
    """Of the stage."""

    @property
    def step(self) -> int:
        return int(number(self.row, "step") or 0)

    @property
    def log(self) -> str:
        return f"{self.stage}/{self.part}/{self.kind}"

    @property
    def label(self) -> str:
        return "|".join(str(self.row.get(name, "")) for name in LABELS)


@dataclass(slots=True)
class Mark:
    """How far a log was told."""

    key: str = ""
    """Of the stage: with another key it is another result, told from its beginning."""
    step: int = -1
    """The last step that was told."""
    looks: set[str] = field(default_factory=set)
    """Labels of the evaluations that were told."""


def is_new(event: Event, marks: Mapping[str, Mark]) -> bool:
    mark = marks.get(event.log)
    if mark is None or (event.key and mark.key != event.key):
        return True
    return event.step > mark.step if event.kind == "step" else event.label not in mark.looks


def take(event: Event, marks: dict[str, Mark]) -> None:
    """Note that a step or an evaluation was told."""
    mark = marks.get(event.log)
    if mark is None or (event.key and mark.key != event.key):
        mark = marks[event.log] = Mark(key=event.key)
    if event.kind == "step":
        mark.step = max(mark.step, event.step)
    else:
        mark.looks.add(event.label)


class Follower:
    """Looks at a run folder again and again."""

    def __init__(self, run: RunFolder, marks: dict[str, Mark] | None = None) -> None:
        """
        Args:
            marks: what was told before, by log; kept up to date.
        """
        self._run = run
        self.marks: dict[str, Mark] = {} if marks is None else marks
        self._logs: dict[Path, tuple[Log[_Fresh], _Fresh]] = {}
        self._begun: set[str] = set()
        self._done: set[str] = set()

    def skip(self) -> None:
        """Tell nothing of what is there already; a stage that goes on is told from its resume point on."""
        for event in list(self.new()):
            stage = self._run.stage(event.stage)
            point = newest_point(stage.path / event.part) if stage and not stage.done else None
            if event.kind == "step" and point is not None:
                self.marks[event.log].step = min(self.marks[event.log].step, point.step)
        self._begun &= self._done

    def new(self) -> Iterator[Event]:
        """What came since the last look, stage by stage, in the order it was written."""
        for stage in self._run.stages:
            if stage.name not in self._begun and stage.path.is_dir():
                self._begun.add(stage.name)
                yield Event(kind="begun", stage=stage.name)
            key = stage.key
            for log in sorted(stage.path.rglob("*.jsonl"), key=_age):
                if log.name in ("metrics.jsonl", "eval.jsonl"):
                    yield from self._lines(log, stage.name, str(log.parent.relative_to(stage.path)), key)
            if stage.done and stage.name not in self._done:
                self._done.add(stage.name)
                yield Event(kind="done", stage=stage.name, row=stage.result)

    def _lines(self, path: Path, stage: str, part: str, key: str) -> Iterator[Event]:
        kind: Literal["step", "evaluation"] = "step" if path.name == "metrics.jsonl" else "evaluation"
        if path not in self._logs:
            fresh = _Fresh()
            self._logs[path] = Log(path, fresh.begun), fresh
        log, fresh = self._logs[path]
        log.look()
        for row in fresh.taken():
            event = Event(kind=kind, stage=stage, part="" if part == "." else part, row=row, key=key)
            if is_new(event, self.marks):
                take(event, self.marks)
                yield event


class _Fresh:
    """Lines that were read and not yet taken."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def begun(self) -> _Fresh:
        """A log that was cut back or replaced is read again from its start."""
        self._rows.clear()
        return self

    def add(self, row: Row) -> None:
        if number(row, "step") is not None:
            self._rows.append(row)

    def taken(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows


def _age(path: Path) -> float:
    return path.stat().st_mtime
