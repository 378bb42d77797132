"""Where a run stands: the state of each stage, and what it reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from r1kit.depends import changes, former_key, is_taken_over, read_key, written_key
from r1kit.errors import InputError
from r1kit.factory.review_file import QUEUE, ReviewFile
from r1kit.growth import ends_anew, grown
from r1kit.recipe import load_recipe
from r1kit.report.read.evaluations import compare
from r1kit.report.read.illnesses.doctor import illnesses
from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.time_left import TimeLeft, time_left
from r1kit.report.read.values import mapping, number
from r1kit.report.read.wording import share, short
from r1kit.resume import has_point
from r1kit.stages import STAGES

__all__ = ["Known", "RunStatus", "StageStatus", "awaited", "run_notes", "run_status", "stages_of"]

QUIET_SECONDS = 120
"""A stage whose logs have not moved for so long is called stopped, not running, where no lock tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    name: str
    kind: str
    state: Literal["done", "running", "stopped", "waiting"]
    steps_done: int
    steps: int | None
    """As planned; None where the recipe does not say."""
    seconds: float | None
    left: float | None = None
    """Seconds, by the plan and what was measured; None where neither says."""
    reached: str
    """Its evaluation, else its reward or loss, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    path: str
    recipe: str
    seed: int | None
    stages: tuple[StageStatus, ...]
    left: float | None = None
    """Seconds of the whole run."""
    notes: tuple[str, ...]
    """What was done again, and what the next run would do again."""
    illnesses: tuple[Illness, ...]
    """What the doctor finds; empty: nothing."""
    skipped: Mapping[str, int]
    """Log -> lines of it that could not be read; of the logs that this status was read off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What takes long to find out of a run, and changes seldom or can be followed."""

    left: TimeLeft
    notes: Sequence[str]
    illnesses: Sequence[Illness]


def run_status(run: RunFolder, now: float, known: Known | None = None) -> RunStatus:
    """
    Args:
        now: seconds since the epoch, to tell a live run from a stopped one.
        known: by somebody who follows the run; None: it is found out.
    """
    known = known or Known(left=time_left(run, now), notes=run_notes(run), illnesses=illnesses(run, now))
    seed = run.manifest.get("seed")
    stages = stages_of(run, now, known.left)
    return RunStatus(
        path=str(run.path),
        recipe=run.recipe_name,
        seed=seed if isinstance(seed, int) else None,
        stages=stages,
        left=known.left.run,
        notes=tuple(known.notes),
        illnesses=tuple(known.illnesses),
        skipped=run.skipped,
    )


def stages_of(run: RunFolder, now: float, left: TimeLeft) -> tuple[StageStatus, ...]:
    """Every stage, in the order they run; cheap enough to be asked every second."""
    stages: list[StageStatus] = []
    waiting = False
    for name in run.planned:
        stages.append(_stage(run, name, now, left.stages.get(name), waiting=waiting))
        waiting = waiting or stages[-1].state != "done"
    return tuple(stages)


def _stage(run: RunFolder, name: str, now: float, left: float | None, *, waiting: bool) -> StageStatus:
    stage = run.stage(name)
    state: Literal["done", "running", "stopped", "waiting"] = "waiting"
    if stage is not None and not waiting:
        written = stage.written_at
        quiet = written is None or now - written >= QUIET_SECONDS
        live = not quiet if (held := run.is_held) is None else held
        state = "done" if stage.done else "running" if live else "stopped"
    return StageStatus(
        name=name,
        kind=run.kind(name),
        state=state,
        steps_done=stage.steps_done if stage else 0,
        steps=run.planned_steps(name),
        seconds=stage.seconds if stage else None,
        left=left,
        reached=_reached(run, stage) if stage else "",
    )


def run_notes(run: RunFolder) -> list[str]:
    """What was done again, and what the next run would do again, for which recipe and data are read."""
    again = [
        f"{stage.name} was done again: {stage.why or 'changed'}; the earlier result is kept in "
        + ", ".join(stage.set_aside)
        for stage in run.stages
        if stage.set_aside
    ]
    outdated = [f"{name} will {what} by the next run: {why}" for name, (what, why) in _outdated(run).items()]
    return again + outdated


def _outdated(run: RunFolder) -> dict[str, tuple[str, str]]:
    """Done stages that the recipe as it stands would do again or train on: what would be done, and why."""
    found: dict[str, tuple[str, str]] = {}
    keys: dict[str, str] = {}
    former: dict[str, str] = {}
    try:
        recipe = load_recipe(str(run.path / "recipe.toml"))
        paths = {stage.name: stage.path for stage in run.stages if stage.done}
        done = {name: read_key(path) for name, path in paths.items()}
        for name in recipe.stages:
            key = done.get(name, {})
            written = written_key(recipe, name, keys, key)
            taken_over = is_taken_over(recipe, name, key, former)
            keys[name], former[name] = written["key"], former_key(key, written, taken_over)
            if "key" in key and key["key"] != written["key"] and not taken_over:
                goes_on = grown(key, written) and has_point(paths[name])
                ends = "be ended again on what it sampled" if ends_anew(key, written) else "be done again"
                what = "be trained on" if goes_on else ends
                found[name] = what, changes({**key, "inputs": mapping(key.get("inputs"))}, written)
    except (InputError, ValueError, OSError):  # another version's recipe, a torn key.json, data that cannot be read
        return {}
    return found


def _reached(run: RunFolder, stage: StageFolder) -> str:
    """By what the stage leaves; a policy by its evaluation, else its reward, else its loss."""
    kind = run.kind(stage.name)
    facts = STAGES.get(kind)
    leaves = facts.leaves if facts else ""
    if (samples := number(stage.numbers, "samples")) is not None:
        return f"{samples:,.0f} samples"
    if leaves == "samples":
        return awaited(run, stage)
    if leaves == "reward models":
        found = {str(name): number(mapping(row), "accuracy") for name, row in stage.numbers.items()}
        return ", ".join(f"{name} {share(value)}" for name, value in found.items() if value is not None)
    if leaves == "a table":
        return f"{len(stage.numbers)} checkpoints" if stage.numbers else ""
    if kind == "prm":
        return _by_steps(stage)
    return _taught(stage) if kind == "distill" else _learned(stage)


def _by_steps(stage: StageFolder) -> str:
    """RL by steps and by rules; before either has begun, the part that is under way."""
    courses = {"steps": stage.part("process_rl"), "rules": stage.part("rule_rl")}
    if said := [f"{_learned(part)} by {name}" for name, part in courses.items() if part.evals]:
        return ", ".join(said)
    logged = [part for part in stage.parts if part.written_at is not None]
    return f"at {max(logged, key=lambda part: part.written_at or 0.0).name}" if logged else ""


def _taught(stage: StageFolder) -> str:
    """Each student's first task, distilled."""
    lines = {str(name): mapping(mapping(row).get("distilled")) for name, row in stage.numbers.items()}
    values = {name: number(mapping(next(iter(tasks.values()), {})), "avg_at_k") for name, tasks in lines.items()}
    return ", ".join(f"{name} {share(value)}" for name, value in values.items() if value is not None)


def _learned(stage: StageFolder) -> str:
    if found := compare(stage.evals):
        first, k = found[0], found[0].curve.k
        return f"avg@{k} {share(number(first.before, 'avg_at_k'))} → {share(number(first.after, 'avg_at_k'))}"
    rows = stage.metrics
    last = rows[-1] if rows else {}
    for key in ("accuracy", "reward", "loss"):
        if (value := number(last, key)) is not None:
            return f"{key} {short(value)}"
    numbers = {str(key): value for key in stage.numbers if (value := number(stage.numbers, key)) is not None}
    return ", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in list(numbers.items())[:2])


def awaited(run: RunFolder, stage: StageFolder) -> str:
    """``698 of 700 samples wait for people: r1 review``; empty where none does."""
    if stage.done or run.settings(stage.name).get("review") != "human" or not (stage.path / QUEUE).is_file():
        return ""
    try:
        items = _queue(stage.path / QUEUE).items().values()
    except InputError as error:
        return f"waits for people, but {error}"
    return f"{sum(item.open for item in items):,} of {len(items):,} samples wait for people: r1 review"


@lru_cache(64)
def _queue(path: Path) -> ReviewFile:
    """Kept, so that a page which asks again and again reads a queue only when it has changed."""
    return ReviewFile(path)
