"""What has come to a run folder since it was looked at last: stages that began or ended, steps, evaluations.

Each step and each evaluation comes once, also when a log is cut back to a resume point and its steps are done again, as
long as the stage is the same. ``marks`` is what must be kept for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from r1kit.depends import read_key
from r1kit.report.read.logs import Log
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import Row, number
from r1kit.resume import newest_point

__all__ = ["Event", "Follower", "Mark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: Literal["begun", "step", "evaluation", "done"]
    stage: str
    part: str = ""
    """Of the stage, where it trains more than one model."""
    row: Row = field(default_factory=dict)
    """The line of the log, or ``result.json``."""

    @property
    def step(self) -> int:
        return int(number(self.row, "step") or 0)


@dataclass(slots=True)
class Mark:
    """How far a log has been told."""

    key: str = ""
    """Of the stage: with another key it is another result, told from its beginning."""
    steps: int = -1
    """The last step that was told of all its lines."""
    looks: set[str] = field(default_factory=set)
    """Evaluations that were told: split, task, k and what else tells two of a step apart, at their step."""


LABELS = ("step", "split", "task", "k", "checkpoint")


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
            mark = self.marks.get(_mark(event))
            if event.kind == "step" and mark is not None:
                point = newest_point(self._folder(event))
                done = self._run.stage(event.stage)
                if point is not None and done is not None and not done.done:
                    mark.steps = min(mark.steps, point.step)
        self._begun &= self._done

    def new(self) -> Iterator[Event]:
        """What came since the last look, stage by stage, in the order it was written."""
        for stage in self._run.stages:
            if stage.name not in self._begun and stage.path.is_dir():
                self._begun.add(stage.name)
                yield Event(kind="begun", stage=stage.name)
            key = str(read_key(stage.path).get("key", ""))
            for log in sorted(stage.path.rglob("*.jsonl"), key=_age):
                if log.name in ("metrics.jsonl", "eval.jsonl"):
                    yield from self._lines(log, stage.name, str(log.parent.relative_to(stage.path)), key)
            if stage.done and stage.name not in self._done:
                self._done.add(stage.name)
                yield Event(kind="done", stage=stage.name, row=stage.result)

    def _lines(self, path: Path, stage: str, part: str, key: str) -> Iterator[Event]:
        part = "" if part == "." else part
        kind: Literal["step", "evaluation"] = "step" if path.name == "metrics.jsonl" else "evaluation"
        if path not in self._logs:
            fresh = _Fresh()
            self._logs[path] = Log(path, fresh.begun), fresh
        log, fresh = self._logs[path]
        log.look()
        mark = self.marks.setdefault(f"{stage}/{part}/{path.name}", Mark(key=key))
        if key and mark.key != key:
            mark.key, mark.steps, mark.looks = key, -1, set()
        for row in fresh.taken():
            event = Event(kind=kind, stage=stage, part=part, row=row)
            if kind == "step" and event.step > mark.steps:
                mark.steps = event.step
                yield event
            elif (
                kind == "evaluation"
                and (label := "|".join(str(row.get(name, "")) for name in LABELS)) not in mark.looks
            ):
                mark.looks.add(label)
                yield event

    def _folder(self, event: Event) -> Path:
        stage = self._run.stage(event.stage)
        assert stage is not None
        return stage.path / event.part


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


def _label(row: Row) -> str:
    return "|".join(str(row.get(name, "")) for name in LABELS)


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _mark(event: Event) -> str:
    return f"{event.stage}/{event.part}/{'metrics.jsonl' if event.kind == 'step' else 'eval.jsonl'}"
