"""The resume point of a loop: what a killed run goes on from, and how a damaged one is told from a whole one.

``resume/state.json`` is the newest point, ``resume/before.json`` the one before it, each with a learner's folder. A
point names how long each log was and its checksum, and the sizes of the learner's files. One that is torn (a copy that
broke off, a disk that lied) is passed over for the other; without another the user is told which file it is.

Order on disk: learner, ``before.json``, ``state.json``, each replaced as a whole, so a kill at any moment finds a whole
point. Logs are synced before the state that names them, so this holds for a power cut too.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError, first_line
from r1kit.files import object_of, write_atomic

__all__ = [
    "FOLDER", "Point", "Resumable", "Stateless", "begin", "cut_logs", "drop_learners", "has_point", "keep_last",
    "learner_files", "log_fault", "log_marks", "more_steps", "newest_point", "of_part", "points", "restore", "write",
]  # fmt: skip

FOLDER, STATE, BEFORE = "resume", "state.json", "before.json"
_PIECE = 1 << 22


class Resumable(Protocol):
    """What a loop trains: all that must survive a kill. Every rank calls both."""

    def save(self, folder: Path) -> None:
        """Write a folder, on disk and whole when this returns on every rank."""
        ...

    def load(self, folder: Path) -> None: ...


class Stateless:
    """What a loop trains that trains nothing: all of its state is in its logs and the cursor."""

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    key: str
    """Of the stage, when it was written."""
    step: int
    """Steps done: the number of the next one."""
    of: int
    """Steps that the loop was to take."""
    learner: str
    """Folder beside ``state.json``."""
    files: Mapping[str, int]
    """The learner's files -> their bytes; empty where it keeps nothing."""
    at: Mapping[str, tuple[int, int]]
    """Where each log was: its name -> (bytes, CRC-32)."""
    cursor: Mapping[str, int]
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Other JSON values that the loop keeps."""
    seconds: float

    def text(self) -> str:
        return json.dumps(asdict(self))


def write(folder: Path, point: Point, before: Point | None) -> None:
    """Put a point, whose learner is there already, in front of the one before; what neither names goes."""
    if before is not None:
        write_atomic(folder / BEFORE, before.text())
    write_atomic(folder / STATE, point.text())
    drop_learners(folder, point, before)


def drop_learners(folder: Path, *points: Point | None) -> None:
    """Drop every learner, and everything half written, that none of the points names."""
    named = {STATE, BEFORE, *(point.learner for point in points if point is not None)}
    for other in folder.iterdir():
        if other.name not in named:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def has_point(stage: Path) -> bool:
    """Whether a stage, or a part of it, has something to go on from."""
    return any((stage / FOLDER / name).is_file() for name in (STATE, BEFORE))


def newest_point(stage: Path) -> Point | None:
    """Of a stage or a part of it, for whoever looks on; None where there is none that can be read."""
    try:
        found, _ = points(stage / FOLDER)
    except OSError:  # replaced, or dropped, at this moment
        return None
    return found[0] if found else None


def keep_last(folder: Path) -> int:
    """Drop every point but the newest one that can be read; the bytes that are left."""
    found, _ = points(folder)
    if found and not (folder / STATE).is_file():
        os.replace(folder / BEFORE, folder / STATE)
    (folder / BEFORE).unlink(missing_ok=True)
    drop_learners(folder, *found[:1])
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def restore(stage: Path, called: str, state: Resumable, ranks: Ranks, say: Callable[[str], None]) -> Point | None:
    """The newest point that is whole, loaded; None where a loop begins. The same on every rank.

    Args:
        stage: its folder, or that of a part of it.
        called: the stage, for a person.
        state: is loaded.
        ranks: all call it.
        say: is told what was passed over.

    Raises:
        InputError: points are there, and none of them is whole.
    """
    folder = stage / FOLDER
    found, wrong = ranks.broadcast_object(points(folder) if ranks.rank == 0 else ([], []))
    for point in found:
        if why := _why_not(point, stage, state, ranks):
            wrong.append(why)
            continue
        for line in wrong:
            say(f"{called}: {line}; it goes on from the resume point before, step {point.step}")
        return point  # type: ignore[no-any-return]
    if wrong:
        raise InputError(
            f"{wrong[0]}, and no other resume point is whole; copy the run folder again, or delete {folder} to do "
            f"{called} again from its beginning"
        )
    return None


def _why_not(point: Point, stage: Path, state: Resumable, ranks: Ranks) -> str:
    """Why a point cannot be gone on from, the same on every rank; empty: it is loaded."""
    if seen := ranks.broadcast_object(fault(point, stage) if ranks.rank == 0 else ""):
        return str(seen)
    learner, why = stage / FOLDER / point.learner, ""
    try:
        state.load(learner)
    except Exception as error:  # what a torn state raises is up to whoever wrote it
        why = first_line(error)
    said = next(filter(None, ranks.gather_objects(why)), "")
    return f"{learner} cannot be read ({said})" if said else ""


def more_steps(point: Point, total: int, rate: Callable[[int, int], float] | None) -> str:
    """That a loop goes on with another number of steps, and how its learning rate changes.

    Args:
        point: gone on from.
        total: steps in all from now on.
        rate: (step, steps in all) -> learning rate.
    """
    line = f"goes on from step {point.step} with {total} steps instead of {point.of}"
    if rate is None or not 0 < point.step < total:
        return line
    last, following = rate(point.step - 1, point.of), rate(point.step, total)
    return f"{line}; the schedule is now that of {total} steps: lr {last:.3g} -> {following:.3g}"


def begin(stage: Path) -> None:
    """Empty the logs of a part that has nothing to go on from, and so does all of it again; one with steps cuts its own
    to where it goes on."""
    if not has_point(stage):
        cut_logs(stage, None)


def of_part(path: Path) -> dict[str, Any] | None:
    """What a part that is done left; None where it is not done."""
    if not path.is_file():
        return None
    found = object_of(path.read_text(encoding="utf-8", errors="replace"))
    if found is None or not {"seconds", "cost"} <= set(found):
        raise InputError(f"{path} is damaged; copy the run folder again, or delete the file to do this part again")
    return found


def cut_logs(stage: Path, point: Point | None) -> None:
    """Cut every log to where it was at a point; without one all are empty."""
    marks = point.at if point else {}
    for path in stage.glob("*.jsonl"):
        os.truncate(path, marks.get(path.name, (0, 0))[0])


def points(folder: Path) -> tuple[list[Point], list[str]]:
    """The points of a resume folder, newest first; and what is wrong with those that cannot be read."""
    found: list[Point] = []
    wrong: list[str] = []
    for name in (STATE, BEFORE):
        path = folder / name
        if path.is_file():
            try:
                found.append(_point(json.loads(path.read_text(encoding="utf-8"))))
            except (ValueError, TypeError, KeyError, AttributeError):
                wrong.append(f"{path} is damaged")
        elif name == STATE and (folder / BEFORE).is_file():
            wrong.append(f"{path} is missing")
    return found, wrong


def _point(table: Any) -> Point:
    """Raises TypeError, ValueError, KeyError or AttributeError for what is no point."""
    logs = {str(name): (int(size), int(crc)) for name, (size, crc) in table["at"].items()}
    files = {str(name): int(size) for name, size in table["files"].items()}
    point = Point(**{**table, "at": logs, "files": files})
    if point.step < 0 or not isinstance(point.cursor, dict) or not isinstance(point.kept, dict):
        raise ValueError
    return point


def fault(point: Point, stage: Path) -> str:
    """What keeps a loop from going on from a point, naming the file; empty: nothing that can be seen from outside."""
    for name, (size, crc) in point.at.items():
        if why := log_fault(stage / name, size, crc):
            return why
    learner = stage / FOLDER / point.learner
    for name, size in point.files.items():
        path = learner / name
        there = path.stat().st_size if path.is_file() else -1
        if there != size:
            return f"{path} is {'missing' if there < 0 else f'cut short ({there} of {size} bytes)'}"
    return ""


def log_fault(path: Path, size: int, crc: int) -> str:
    """What is wrong with the first ``size`` bytes of a log; empty: nothing."""
    there = path.stat().st_size if path.is_file() else -1
    if there < size:
        return f"{path} is {'missing' if there < 0 else f'cut short ({there} of {size} bytes)'}"
    return f"{path} is damaged" if _crc(path, 0, size, 0) != crc else ""


def log_marks(stage: Path, before: Point | None) -> dict[str, tuple[int, int]]:
    """Bytes and checksum of every log, synced to disk; what an earlier point knows is not read again."""
    known, marks = before.at if before else {}, {}
    for path in sorted(stage.glob("*.jsonl")):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            size = os.fstat(stream.fileno()).st_size
        first, crc = known.get(path.name, (0, 0))
        marks[path.name] = size, _crc(path, first, size, crc)
    return marks


def learner_files(folder: Path) -> dict[str, int]:
    """Bytes of every file that a learner wrote."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _crc(path: Path, first: int, last: int, crc: int) -> int:
    """CRC-32 of the bytes from ``first`` to ``last``, continued from ``crc``."""
    with path.open("rb") as stream:
        stream.seek(first)
        while first < last and (piece := stream.read(min(_PIECE, last - first))):
            crc, first = zlib.crc32(piece, crc), first + len(piece)
    return crc
