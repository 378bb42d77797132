"""What the live page shows of a run at first sight; rollouts are left to their index, so that it comes fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.claims import Claim, claims
from r1kit.report.read.lineage import Node, lineage
from r1kit.report.read.logs import stamp
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_verdict import chain_verdict
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.stage_table import StageTable, stage_tables
from r1kit.report.read.status import Known, RunStatus, run_status
from r1kit.report.read.values import Row

__all__ = ["Aha", "LiveTable", "LiveView", "live_view", "stamps"]

MOST_AHA = 8
"""Candidates of a stage."""
WATCHED = ("metrics.jsonl", "eval.jsonl", "result.json", "gate.json", "key.json", "aha.json", "card.json")
SLOW = ("recipe.toml", "result.json", "key.json")
"""What the notes of a status depend on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTable:
    table: StageTable
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aha:
    """A candidate for the paper's aha moment."""

    stage: str
    title: str
    row: Row
    """``question``, ``turns``, ``word``, ``excerpt``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    status: RunStatus
    is_running: bool
    verdict: str
    headline: str
    """Stage that the page is about: the one that is running, else the report's; empty without any."""
    lineage: Sequence[Node]
    tables: Sequence[LiveTable]
    aha: Sequence[Aha]
    drawn: Mapping[str, str]
    """Stage with curves to draw, or part of one (``distill/llama-s/rl``) -> a stamp that changes when they do."""
    seconds: float
    """Of all stages."""
    created: str
    versions: Mapping[str, str]
    """Of r1kit and what it stands on, as the run was made."""


def live_view(run: RunFolder, now: float, known: Known | None = None) -> LiveView:
    """
    Args:
        now: seconds since the epoch.
        known: by whoever follows the run: the notes hold until ``stamps(run, slow=True)`` changes.
    """
    status = run_status(run, now, known)
    tables, stages = stage_tables(run), run.stages
    running = next((stage.name for stage in status.stages if stage.state == "running"), "")
    named = [(name, one) for stage in stages for name, one in _with_parts(stage) if one.metrics or one.evals]
    drawn = {name: f"{len(one.metrics)}.{len(one.evals)}.{one.steps_done}" for name, one in named}
    headline = run.headline.name if run.headline else next(iter(drawn), "")
    versions = run.manifest.get("versions")
    return LiveView(
        status=status,
        is_running=bool(running),
        verdict=chain_verdict(run, tables[-1] if tables else None),
        headline=running if running in drawn else headline,
        lineage=lineage(run),
        tables=[LiveTable(table=table, claims=claims(table)) for table in tables],
        aha=[_aha(run, stage, row) for stage in stages for row in stage.aha[:MOST_AHA]],
        drawn=drawn,
        seconds=sum(stage.seconds or 0.0 for stage in stages),
        created=str(run.manifest.get("created", "")),
        versions={str(key): str(value) for key, value in versions.items()} if isinstance(versions, dict) else {},
    )


def _aha(run: RunFolder, stage: StageFolder, row: Row) -> Aha:
    shown = {key: row.get(key) for key in ("question", "turns", "word", "excerpt")}
    return Aha(stage=stage.name, title=run.title(stage.name), row=shown)


def _with_parts(stage: StageFolder) -> list[tuple[str, StageFolder]]:
    return [(stage.name, stage), *((f"{stage.name}/{part.name}", part) for part in stage.parts)]


def stamps(run: RunFolder, *, slow: bool = False) -> tuple[object, ...]:
    """Changes when the view would, time aside; ``slow``: when its notes would."""
    names = SLOW if slow else WATCHED
    files = [run.path / "recipe.toml", run.path / "manifest.json"]
    files += [stage.path / name for stage in run.stages for name in names]
    files += [part.path / "metrics.jsonl" for stage in run.stages for part in stage.parts]
    return (None if slow else run.is_held, *((str(path), stamp(path)) for path in files))
