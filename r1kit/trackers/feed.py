"""Feeds one tracker from the run folder, in a process of its own: what it was sent is kept, so that a step goes once.

Order: what is about to be sent is written down, then sent and flushed, then the marks are moved. Where this process is
killed in between, or the sink raises, the sink is asked which of it has arrived; one that cannot tell gets none of it
again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1kit.errors import first_line
from r1kit.files import object_of, write_atomic
from r1kit.registry import short
from r1kit.report.read.follow import Event, Follower, Mark, is_new, take
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import mapping, number, objects
from r1kit.trackers import open_sink
from r1kit.trackers.sink import Sink, Tracked

__all__ = ["Feed", "feed", "left", "place_of", "unsent"]

LOOK_SECONDS = 1.0
AGAIN_SECONDS = (1.0, 5.0, 30.0)
"""After a failure it is tried again: the first time, the second, every further time."""
LAST_TRIES = 2
"""After the run's end."""
KINDS = ("step", "evaluation")
BATCH = 100
"""Lines that are sent before the state is kept."""


def place_of(folder: Path, name: str) -> Path:
    """Where a run folder keeps what a tracker was sent: ``DIR/trackers/NAME.json``. One of the user's own is known by
    its class and its file's name, wherever the project is moved."""
    own, before = (f"own-{hashlib.sha256(of.encode()).hexdigest()[:8]}" for of in (short(name), name))
    place, earlier = (folder / "trackers" / f"{of}.json" for of in (name if name.isidentifier() else own, before))
    return earlier if earlier.is_file() and not place.is_file() else place  # a run of the version before: by its path


@dataclass(slots=True)
class State:
    """What ``DIR/trackers/NAME.json`` says."""

    marks: dict[str, Mark] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)
    """Events that were being sent: stage, part, kind, key and what of the row tells them apart."""
    report: float = 0.0
    """When the report that was sent last was written."""
    id: str = ""
    """What the tracker knows the run by, wherever its folder is moved."""
    damaged: bool = False
    """Nobody knows what was sent."""

    @classmethod
    def read(cls, path: Path) -> State:
        """Empty where the file is missing or damaged."""
        there = path.is_file()
        table = object_of(path.read_text(encoding="utf-8", errors="replace")) if there else None
        marks = {str(log): _mark(row) for log, row in mapping((table or {}).get("marks")).items()}
        pending = [dict(row) for row in objects((table or {}).get("pending"))]
        report, known = number(table or {}, "report") or 0.0, str((table or {}).get("id", ""))
        return cls(marks, pending, report, known, there and table is None)

    def write(self, path: Path) -> None:
        marks = {
            log: {"key": mark.key, "step": mark.step, "looks": sorted(mark.looks)} for log, mark in self.marks.items()
        }
        path.parent.mkdir(exist_ok=True)
        table = {"id": self.id, "marks": marks, "pending": self.pending, "report": self.report}
        write_atomic(path, json.dumps(table) + "\n")


def _mark(row: Any) -> Mark:
    step, looks = number(mapping(row), "step"), mapping(row).get("looks")
    told = {str(label) for label in looks} if isinstance(looks, list) else set()
    return Mark(key=str(mapping(row).get("key", "")), step=-1 if step is None else int(step), looks=told)


def unsent(folder: Path, name: str) -> int:
    """Steps and evaluations that a tracker was not sent."""
    state = State.read(place_of(folder, name))
    events = Follower(RunFolder(folder), deepcopy(state.marks)).new()
    return sum(event.kind in KINDS for event in events)


def left(folder: Path, name: str) -> str:
    """What a tracker was not sent, in words; empty where it was sent all."""
    lines, report = unsent(folder, name), report_of(folder, State.read(place_of(folder, name)))
    return " and ".join([f"{lines} lines"] * bool(lines) + ["the report"] * bool(report))


def report_of(folder: Path, state: State) -> Path | None:
    """The report, where it was written anew since it was sent; its time may go back, as clocks do."""
    path = folder / "report.html"
    return path if path.is_file() and path.stat().st_mtime != state.report else None


def feed(
    folder: Path, name: str, table: Mapping[str, Any], over: Callable[[float], bool], tell: Callable[[str], None]
) -> int:
    """Send what is there and what comes, until the run is over; the number of lines that could not be sent,
    1 where it is the report alone.

    Args:
        over: waits so many seconds, at most, and says whether the run is over.
        tell: takes a line for the user.
    """
    while not (folder / "recipe.toml").is_file():
        if over(LOOK_SECONDS):
            return 0
    with _alone(place_of(folder, name)):
        return Feed(folder, name, table, tell).run(over)


class Feed:
    """One sink and what it was sent."""

    def __init__(self, folder: Path, name: str, table: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        self._folder, self._name, self._table, self._tell = folder, name, table, tell
        self._run = RunFolder(folder)
        self._path = place_of(folder, name)
        self._state = State.read(self._path)
        self._follower = Follower(self._run, deepcopy(self._state.marks))
        self._queue: list[Event] = []
        self._refused: list[Event] = []
        """At most one: the sink raised when it was handed this, so that it is sent again unless it is there."""
        self._beyond: set[tuple[str, str, str]] = set()
        """What has arrived of a log although something before it has not."""
        self._sink: Sink | None = None
        self._failures = 0
        if self._state.damaged:
            tell(f"tracker {name}: {self._path} is damaged; the tracker is asked what it has")
            events = Follower(RunFolder(folder), {}).new()
            self._state.pending = [_kept(event) for event in events if event.kind in KINDS]

    def run(self, over: Callable[[float], bool]) -> int:
        """See ``feed``."""
        ended = over(0)
        while True:
            try:
                self._send(ended)
                if ended:
                    return 0
                wait = LOOK_SECONDS
                self._failures = 0
            except Exception as error:  # whatever another's package raises, the run goes on
                wait = AGAIN_SECONDS[min(self._failures, len(AGAIN_SECONDS) - 1)]
                self._failures += 1
                self._let_go()
                if self._failures == 1:
                    self._tell(f"tracker {self._name}: {first_line(error)}; it is tried again, the run goes on")
                if ended and self._failures > LAST_TRIES:
                    return max(1, len(self._queue))
            ended = over(wait) or ended

    def _send(self, ended: bool) -> None:
        self._queue += [event for event in self._follower.new() if event.kind in KINDS]
        report = report_of(self._folder, self._state) if ended else None
        if self._sink is None:
            if not self._queue and not self._state.pending and report is None:
                return
            self._sink = open_sink(self._name, self._table, self._tracked())
        self._settle(self._sink)
        while self._queue:
            self._send_batch(self._sink, self._queue[:BATCH])
            del self._queue[:BATCH]
        if report is not None:
            written = report.stat().st_mtime
            self._sink.artefact(report)
            self._sink.flush()
            self._state.report = written
            self._state.write(self._path)
        if ended:
            self._close(self._sink)

    def _close(self, sink: Sink) -> None:
        """Once all was sent."""
        try:
            sink.close()
        except Exception as error:
            self._tell(f"tracker {self._name}: {first_line(error)}, as it was closed; all had been sent")

    def _let_go(self) -> None:
        """Of a sink that has raised; what it still holds arrives now or never, so that the next can be asked for it."""
        if self._sink is not None:
            with suppress(Exception):
                self._sink.flush()
        self._sink = None

    def _send_batch(self, sink: Sink, batch: list[Event]) -> None:
        told = [event for event in batch if is_new(event, self._state.marks)]
        handed: list[Event] = []
        try:
            self._keep(told)
            for event in told:
                self._refused = [event]
                if _named(event) not in self._beyond:
                    sink.log(_series(event), event.step, _scalars(event))
                handed.append(event)
            self._refused = []
            for series, step, rows in self._samples(batch):
                sink.table(series, step, rows)
            sink.flush()
        except BaseException:
            self._keep(handed)
            raise
        for event in told:
            take(event, self._state.marks)
        self._keep([])

    def _keep(self, pending: list[Event]) -> None:
        self._state.pending = [_kept(event) for event in pending]
        self._state.write(self._path)

    def _settle(self, sink: Sink) -> None:
        """What was being sent when the sink raised, or this process, or the one before, ended in the middle of it."""
        behind: set[str] = set()
        for event in [*(Event(**row) for row in self._state.pending), *self._refused]:
            there = sink.has(_series(event), event.step)
            if there is False or (there is None and event in self._refused):
                behind.add(event.log)
            elif event.log in behind:
                self._beyond.add(_named(event))
            else:
                take(event, self._state.marks)
        self._state.pending, self._refused = [], []

    def _samples(self, batch: list[Event]) -> Iterator[tuple[str, int, list[Mapping[str, Any]]]]:
        """The newest samples of each stage that was evaluated."""
        for stage, part in dict.fromkeys((event.stage, event.part) for event in batch if event.kind == "evaluation"):
            found = self._run.stage(stage)
            rows = (found.part(part) if part else found).rollouts.closing if found else []
            if rows:
                yield f"{stage}/{part}".rstrip("/"), int(rows[0]["step"]), list(rows)

    def _tracked(self) -> Tracked:
        manifest = self._run.manifest
        known = f"{self._folder.resolve()} {manifest.get('created')}"
        self._state.id = self._state.id or hashlib.sha256(known.encode()).hexdigest()[:12]
        return Tracked(
            name=self._run.recipe_name,
            folder=self._folder,
            id=self._state.id,
            settings=self._run.recipe,
        )


def _kept(event: Event) -> dict[str, Any]:
    row = {name: event.row[name] for name in ("step", "split", "task", "k", "checkpoint") if name in event.row}
    return {"kind": event.kind, "stage": event.stage, "part": event.part, "key": event.key, "row": row}


def _named(event: Event) -> tuple[str, str, str]:
    return event.log, event.key, event.label


def _series(event: Event) -> str:
    """``r1_zero``, ``distill/small/base``, ``r1_zero/eval/countdown/dev``."""
    names = [event.stage, event.part]
    if event.kind == "evaluation":
        names += ["eval", *(str(event.row.get(name) or "") for name in ("checkpoint", "task", "split"))]
    return "/".join(name for name in names if name)


def _scalars(event: Event) -> dict[str, float]:
    found = {name: number(event.row, name) for name in event.row if name != "step"}
    return {name: value for name, value in found.items() if value is not None}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process feeds a tracker at a time; another waits until it has ended."""
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
