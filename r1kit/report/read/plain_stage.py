"""A stage of a kind that the report has no sections for, a user's own: its metrics, its result, its logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.series import Series, all_series, constants
from r1kit.report.read.stage_folder import StageFolder
from r1kit.stages import STAGES

__all__ = ["LogTail", "PlainStage", "plain_stages"]

TAIL_BYTES, TAIL_LINES = 4000, 5
LOGS = (".jsonl", ".log", ".txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTail:
    """The end of a text file of the stage."""

    name: str
    size: int
    """Bytes."""
    lines: Sequence[str]
    """The last few whole ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainStage:
    name: str
    kind: str
    title: str
    done: bool
    metrics: Mapping[str, Series]
    """Field of ``metrics.jsonl`` -> its line; empty for a stage that is shown as an RL stage as well."""
    constants: Mapping[str, float]
    """Fields that never change."""
    result: Mapping[str, object]
    """``metrics`` of its result, and its checkpoint."""
    logs: Sequence[LogTail]


def plain_stages(run: RunFolder) -> list[PlainStage]:
    """Every stage on disk of a kind that is not in the table of stages."""
    return [_plain(run, stage) for stage in run.stages if run.kind(stage.name) not in STAGES]


def _plain(run: RunFolder, stage: StageFolder) -> PlainStage:
    checkpoint = stage.result.get("checkpoint")
    rows = [] if run.is_rl(stage) else stage.metrics
    return PlainStage(
        name=stage.name,
        kind=run.kind(stage.name),
        title=run.title(stage.name),
        done=stage.done,
        metrics=all_series(rows),
        constants=constants(rows),
        result={**stage.numbers, **({"checkpoint": checkpoint} if checkpoint else {})},
        logs=[_tail(path) for path in sorted(stage.path.iterdir()) if path.is_file() and path.suffix in LOGS],
    )


def _tail(path: Path) -> LogTail:
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - TAIL_BYTES))
        text = stream.read().decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if size > TAIL_BYTES and len(lines) > 1:
        lines = lines[1:]  # the first one was cut
    return LogTail(name=path.name, size=size, lines=[_one_line(line) for line in lines[-TAIL_LINES:]])


def _one_line(line: str) -> str:
    """A line as it is, JSON with its letters readable."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False)
    except ValueError:
        return line
