"""Time left of a run: what ``r1 plan`` reckons of each stage, corrected by what was measured.

A stage that has not begun is as much slower or faster than planned as those of its sort that have; a running one goes
on at the pace of its newest steps, its evaluations counted by what the earlier ones took.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from r1kit.cluster.cores import cores
from r1kit.errors import R1Error
from r1kit.recipe import load_recipe
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, number
from r1kit.resume import newest_point

if TYPE_CHECKING:
    from r1kit.plan.stage_cost import Piece, Sort

__all__ = ["TimeLeft", "time_left"]

MEAN_SHARE = 0.4
"""Of the longest response that a mean one has: less than ``r1 plan`` assumes, which means to be an upper bound."""
NEWEST = 1 / 3
"""Share of the steps so far that say how fast it goes now."""
FEW = 5
"""Logged steps that are looked at, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """Seconds, None where neither a plan nor a measurement says."""

    stages: Mapping[str, float | None]
    """Stage of the recipe -> seconds; 0 once it is done."""

    @property
    def run(self) -> float | None:
        found = list(self.stages.values())
        return None if None in found else sum(seconds or 0.0 for seconds in found)


def time_left(run: RunFolder, now: float) -> TimeLeft:
    """
    Args:
        now: seconds since the epoch; what the step in flight has taken by then is no longer left.
    """
    planned = _planned(run.path / "recipe.toml", run.recipe_text)
    places = {name: list(_places(run, name, planned.get(name))) for name in run.planned}
    slower = _slower(place for of_stage in places.values() for place in of_stage)
    found = {}
    for name, of_stage in places.items():
        stage = run.stage(name)
        left = [place.left(slower, now) for place in of_stage]
        known = sum(seconds for seconds in left if seconds is not None)
        found[name] = 0.0 if stage is not None and stage.done else None if None in left else known
    return TimeLeft(stages=found)


@lru_cache(maxsize=16)
def _planned(path: Path, text: str) -> Mapping[str, list[Piece] | None]:
    """What each stage does; nothing where the recipe cannot be planned. ``text``: of the file."""
    from r1kit.plan.cost import Plan, shared_out
    from r1kit.plan.devices import DEVICES
    from r1kit.plan.planner import plan_pieces, shape_of

    try:
        recipe = load_recipe(str(path))
        gpu = recipe.device != "cpu" and Path("/dev/nvidiactl").exists()
        devices = max(1, recipe.ranks) if gpu else cores()
        where = Plan(
            device=DEVICES["h100" if gpu else "cpu"], devices=devices, mfu=0.35, mbu=0.5, mean_share=MEAN_SHARE,
            **shared_out(recipe.learner, recipe.cluster, devices),
        )  # fmt: skip
        return plan_pieces(recipe, shape_of(recipe), where)
    except (R1Error, OSError, ValueError):  # another version's recipe, data that is not here
        return {}


# ---- one piece ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """Seconds, as the newest steps took them."""

    step: float
    look: float | None
    """One evaluation between steps; None: none was measured."""
    opening: float
    """What came before the first step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A piece of a run, and where it stands."""

    piece: Piece | None
    """As planned; None: it is not."""
    folder: StageFolder | None
    """None: not begun."""
    steps: int | None
    """In all."""

    @property
    def spent(self) -> tuple[float, float]:
        """(seconds measured, seconds planned for the same)."""
        if self.piece is None or self.folder is None:
            return 0.0, 0.0
        planned, measured = self.piece.work.seconds, self.folder.seconds or 0.0
        if self.folder.done:
            return measured + _closing(self.folder), planned
        share = self.folder.steps_done / self.steps if self.steps else 0.0
        return measured, min(1.0, share) * planned

    def left(self, slower: Mapping[str, float], now: float) -> float | None:
        if self.folder is not None and self.folder.done:
            return 0.0
        rate = slower.get(self.piece.sort if self.piece else "", slower[""])
        rows = self.folder.metrics if self.folder else []
        if self.folder is None or not rows or not self.steps:
            return None if self.piece is None else self._unmeasured(rate, now)
        done, pace = self.folder.steps_done, _pace(rows, self.folder.evals)
        look, closing = self._evaluations(pace, rate, rows)
        looked = {int(row["step"]) for row in self.folder.evals}
        every = self.piece.every if self.piece else 0
        due = [step for step in range(max(1, done), self.steps) if every and step % every == 0 and step not in looked]
        ahead = (self.steps - done) * pace.step + len(due) * look + closing
        now_at = pace.step + (look if due[:1] == [done] else 0.0) if done < self.steps else closing
        return ahead - min(self._since(now), now_at)

    def _unmeasured(self, rate: float, now: float) -> float:
        """As planned, less what has gone by since it began: half of it at most, for it may still open its model."""
        assert self.piece is not None
        whole = self.piece.work.seconds * rate
        if self.folder is None:
            return whole
        if (point := newest_point(self.folder.path)) and 0 < point.step <= point.of:  # it logs no steps
            whole = point.seconds / point.step * (point.of - point.step)
        return whole - min(self._since(now), whole / 2)

    def _evaluations(self, pace: _Pace, rate: float, rows: Sequence[Row]) -> tuple[float, float]:
        """Seconds of one evaluation between steps, and of what follows the last step."""
        piece = self.piece
        planned_look = piece.look.seconds if piece else 0.0
        planned_end = planned_look + (piece.ends.seconds if piece else 0.0)
        if pace.opening and planned_end:
            rate = pace.opening / planned_end
        grown = (number(rows[-1], "response_tokens") or 1.0) / (number(rows[0], "response_tokens") or 1.0)
        return planned_look * rate * grown if pace.look is None else pace.look, planned_end * rate * grown

    def _since(self, now: float) -> float:
        written = self.folder.written_at if self.folder else None
        return max(0.0, now - written) if written else 0.0


def _places(run: RunFolder, name: str, pieces: Sequence[Piece] | None) -> Iterator[_Place]:
    stage = run.stage(name)
    planned: Sequence[Piece | None] = pieces or [None]
    for piece in planned:
        folder = stage.part(piece.name) if stage and piece and piece.name else stage
        folder = folder if folder and folder.path.is_dir() else None
        steps = run.planned_steps(name) if not piece or not piece.name else piece.steps
        if folder is not None and steps is None:
            point = newest_point(folder.path)
            steps = point.of if point else None
        yield _Place(piece=piece, folder=folder, steps=steps)


def _closing(folder: StageFolder) -> float:
    """Seconds from the last step of a piece that is done to its result, by their files."""
    log, result = (folder.path / name for name in ("metrics.jsonl", "result.json"))
    if not log.is_file() or not result.is_file():
        return 0.0
    return min(max(0.0, result.stat().st_mtime - log.stat().st_mtime), folder.seconds or 0.0)


def _slower(places: Iterable[_Place]) -> dict[Sort | str, float]:
    """Sort of work -> how many times what was planned it took; ``""``: of all that was measured."""
    measured: dict[str, float] = {"": 0.0}
    planned: dict[str, float] = {"": 0.0}
    for place in places:
        took, reckoned = place.spent
        for sort in ("", place.piece.sort if place.piece else ""):
            measured[sort] = measured.get(sort, 0.0) + took
            planned[sort] = planned.get(sort, 0.0) + reckoned
    overall = measured[""] / planned[""] if planned[""] else 1.0
    return {sort: measured[sort] / planned[sort] if planned[sort] else overall for sort in measured}


def _own(row: Row) -> float:
    """Seconds of a step by its parts, without what was opened and evaluated before it; 0: it does not tell."""
    return sum(number(row, part) or 0.0 for part in ("sample_seconds", "score_seconds", "update_seconds"))


def _pace(rows: Sequence[Row], evals: Sequence[Row]) -> _Pace:
    """
    Args:
        rows: of a metrics log, at least one; a row may stand for several steps.
        evals: each made before the step after the one that it names.
    """
    looked = {int(row["step"]) for row in evals}
    ends = [(0, 0.0), *((int(row["step"]), number(row, "seconds") or 0.0) for row in rows)]
    spans = [(first, last - first, max(0.0, end - begin)) for (first, begin), (last, end) in pairwise(ends)]
    plain = [(steps, took) for first, steps, took in spans if steps and not looked & set(range(first, first + steps))]
    newest = plain[-max(FEW, round(len(plain) * NEWEST)) :] or [(spans[-1][1], _own(rows[-1]) or spans[-1][2])]
    step = sum(took for _, took in newest) / max(1, sum(steps for steps, _ in newest))
    extra = [
        max(0.0, took - steps * step)
        for first, steps, took in spans
        if first and looked & set(range(first, first + steps))
    ]
    _, steps, took = spans[0]
    opening = max(0.0, took - steps * step) if 0 in looked else 0.0
    return _Pace(step=step, look=extra[-1] if extra else None, opening=opening)
