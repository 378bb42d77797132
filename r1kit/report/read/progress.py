"""A run at work: its stages, and the one that runs now with its newest numbers and a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1kit.report.read.replies import Reply
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.status import StageStatus, stages_of
from r1kit.report.read.time_left import time_left
from r1kit.report.read.values import Row, number
from r1kit.report.read.wording import share, short
from r1kit.resume import newest_point

__all__ = ["Now", "Progress", "progress_of"]

SHARES = frozenset({"accuracy", "format", "language", "preference"})
SHOWN = ("accuracy", "response_tokens", "reward", "loss", "kept", "tokens_per_second")
"""What a step says of itself, where it does; the parts of its reward come behind the reward."""
NAMES = {"response_tokens": "tokens", "tokens_per_second": "tokens/s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The stage that runs."""

    stage: StageStatus
    title: str
    part: str
    """Of the stage, where it trains more than one model; empty: the stage itself."""
    step: int
    steps: int | None
    """Of the part."""
    numbers: Mapping[str, str]
    """Name -> value of the newest step, spelled out."""
    sample: Reply | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    recipe: str
    path: str
    stages: Sequence[StageStatus]
    left: float | None
    """Seconds of the whole run."""
    share: float | None
    """Of the run's time that is behind it."""
    now: Now | None


def progress_of(run: RunFolder, clock: float) -> Progress:
    """
    Args:
        clock: seconds since the epoch.
    """
    left = time_left(run, clock)
    stages = stages_of(run, clock, left)
    current = next((status for status in stages if status.state in ("running", "stopped")), None)
    folder = run.stage(current.name) if current else None
    spent = sum(status.seconds or 0.0 for status in stages if status.state != "waiting")
    return Progress(
        recipe=run.recipe_name,
        path=str(run.path),
        stages=stages,
        left=left.run,
        share=spent / (spent + left.run) if left.run is not None and spent + left.run else None,
        now=_now(run, current, folder) if current and folder else None,
    )


def _now(run: RunFolder, status: StageStatus, stage: StageFolder) -> Now:
    part = _running_part(stage)
    folder = stage.part(part) if part else stage
    rows, point = folder.metrics, newest_point(folder.path)
    steps = status.steps if not part and status.steps else point.of if point else None
    return Now(
        stage=status,
        title=run.title(status.name),
        part=part,
        step=folder.steps_done if rows else point.step if point else 0,
        steps=steps,
        numbers=_numbers(rows[-1]) if rows else {},
        sample=folder.rollouts.newest() or stage.rollouts.newest(),
    )


def _running_part(stage: StageFolder) -> str:
    """The part whose log moved last; one that is done only where all are, as a clock may be set back."""
    if (stage.path / "metrics.jsonl").is_file():
        return ""
    logs = [*stage.path.glob("*/metrics.jsonl"), *stage.path.glob("*/*/metrics.jsonl")]
    newest = max(logs, key=_moved, default=None)
    return str(newest.parent.relative_to(stage.path)) if newest else ""


def _moved(log: Path) -> tuple[bool, float]:
    return not (log.parent / "result.json").is_file(), log.stat().st_mtime


def _numbers(row: Row) -> dict[str, str]:
    parts: list[str] = []
    if "reward" in row and "response_tokens" in row:
        keys = list(row)
        between = keys[keys.index("reward") + 1 : keys.index("response_tokens")]
        parts = [key for key in between if key != "accuracy" and not key.endswith("_abstained")]
        row = {key: value for key, value in row.items() if key != "loss"}  # which says little in RL
    at = SHOWN.index("reward") + 1
    found = {}
    for key in (*SHOWN[:at], *parts, *SHOWN[at:]):
        if (value := number(row, key)) is not None:
            whole = key in ("response_tokens", "tokens_per_second", "kept")
            said = share(value, 2) if key in SHARES else f"{value:,.0f}" if whole else short(round(value, 3))
            found[NAMES.get(key, key)] = said
    return found
