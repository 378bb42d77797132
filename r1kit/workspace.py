"""A stage's place on disk: paths, append-only logs, seeds, the resume point.

Everything a killed run needs lies in ``NN_STAGE/resume`` (``resume.py``): the step to go on from, the learner's state
and how long each log was. On resume the logs are cut to these lengths and the steps after it are done again, with the
same result. A signal that ends the run waits for the end of the step in flight, and for its resume point.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from r1kit import interrupts, resume
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.contracts import BASE, Recipe
from r1kit.errors import InputError, R1Error
from r1kit.files import stage_folder, strict_lines, write_atomic
from r1kit.records import StageResult
from r1kit.resume import Point, Resumable
from r1kit.reward.complaints import Complaints
from r1kit.structure import plain, scalar

__all__ = ["Workspace"]

SAVE_COST_SHARE, WORTH_SAVING = 0.05, 1.0
"""A resume point is written once the work since the last one took a second, and it costs at most 5% of the time."""

COSTS = (
    "trained_tokens", "sampled_tokens", "judge_tokens", "evaluated_tokens", "read_tokens", "training_flops",
    "evaluation_flops",
)  # fmt: skip
TELL_SECONDS = 20.0  # a running stage says where it stands this often, at the next line of its metrics
TOLD = ("accuracy", "response_tokens", "loss", "tokens_per_second")


@dataclass(slots=True)
class Workspace:
    """One stage of one run. Only rank 0 writes; every rank reads the same steps."""

    run: Path
    """The run folder."""
    stage: str
    index: int
    """1-based position of the stage in the recipe."""
    recipe: Recipe
    ranks: Ranks = field(default_factory=Solo)
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    """Earlier stage -> its checkpoint folder, relative to the run."""
    say: Callable[[str], None] = print
    """Tells the user a line; rank 0's only is shown."""
    stands: Callable[[str], None] | None = None
    """Tells now and then where the stage stands; None: ``say`` does."""
    key: str = ""
    """Fingerprint of all that decides this stage's result."""
    name: str = ""
    """Of a part of the stage that trains by itself (see ``part``); empty: the stage itself."""
    cursor: dict[str, int] = field(default_factory=dict)
    """Counters that a loop keeps over a kill, for example the next training prompt."""
    kept: dict[str, Any] = field(default_factory=dict)
    """Other JSON values that a loop keeps over a kill."""
    parameters: int = 0
    """Parameter count of the stage's model, for what its tokens cost; 0 until the model is there."""
    seconds: float = 0.0
    """Seconds of steps so far, over all sittings that count: what was lost to a kill is not in it."""
    complaints: Complaints = field(default_factory=Complaints)
    """What went wrong in a user's own code; whoever scores adds to it, and the user is told beside the metrics."""
    _begun: bool = False  # the logs are emptied, so what is in them is of this sitting
    _point: Point | None = None
    """The newest resume point, and the one that was gone on from."""
    _started: float = 0.0
    _saved_at: float = 0.0
    _save_cost: float = 0.0
    _total: int = -1
    _said: set[str] = field(default_factory=set)
    _told_at: float = 0.0

    @property
    def folder(self) -> Path:
        return stage_folder(self.run, self.index, self.stage) / self.name

    @property
    def _called(self) -> str:
        """The stage, or its part, for a person."""
        return f"{self.stage}/{self.name}" if self.name else self.stage

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def is_writer(self) -> bool:
        return self.ranks.rank == 0

    def start(self, stage: str) -> tuple[str, str]:
        """(model to start from, what to call it): a stage's checkpoint; ``base``: the base stage's, or the model."""
        name = self.recipe.base_stage if stage == BASE and BASE not in self.checkpoints else stage
        if not name:
            return self.recipe.model.name, self.recipe.model.name
        if name not in self.checkpoints:
            raise R1Error(f"{self.stage}: stage {name!r} left no model to start from; its result names no checkpoint")
        return str(self.run / self.checkpoints[name]), name

    def has_model(self, stage: str) -> bool:
        """Whether ``start`` finds one; a stage of the user's own may leave none."""
        return stage == BASE or stage in self.checkpoints or stage not in self.recipe.stages

    def folder_of(self, stage: str) -> Path:
        """Where another stage of the run left its files."""
        return stage_folder(self.run, list(self.recipe.stages).index(stage) + 1, stage)

    def begin(self) -> None:
        """Empty the logs where no resume point says what stays: all is done, and logged, again. On every rank, first of
        all, by what logs outside of ``steps`` too."""
        if self.is_writer:
            self.folder.mkdir(parents=True, exist_ok=True)
            resume.begin(self.folder)
        self._begun = True
        self.ranks.broadcast_object(None)

    # ---- parts ----------------------------------------------------------------------------------------------------

    def part(self, name: str, work: Callable[[Workspace], Mapping[str, Any]]) -> dict[str, Any]:
        """What ``work`` gave back for a part of the stage; a part that is done is not done again.

        It has logs and a resume point of its own in ``NN_STAGE/name``. For stages that train more than one model.
        """
        called = f"{self.name}/{name}" if self.name else name
        inner = replace(self, name=called, cursor={}, kept={}, seconds=0.0, _started=0.0, _point=None, _total=-1)
        path = inner.folder / "result.json"
        found: dict[str, Any] | None = self.ranks.broadcast_object(resume.of_part(path) if self.is_writer else None)
        if found is None:
            inner.begin()
            made = _written({**plain(work(inner)), "seconds": inner.seconds, "cost": inner.cost})
            found = self.ranks.broadcast_object(made)  # what rank 0 read off its logs
            inner.write("result.json", found)
        if self.is_writer:
            shutil.rmtree(inner.folder / "resume", ignore_errors=True)
        self.seconds += float(found["seconds"])
        self._count_up(found["cost"])
        return found

    # ---- what it costs --------------------------------------------------------------------------------------------

    def spend(
        self, *, trained: float = 0, sampled: float = 0, judged: float = 0, read: float = 0, evaluated: float = 0,
        parameters: int | None = None, evaluating: bool = False,
    ) -> None:  # fmt: skip
        """Count tokens over all ranks; every rank gives the same numbers.

        Operations are 6 N for each that is learnt from and 2 N for each other; prompts, what a judge reads, and
        attention are left out.

        Args:
            trained: learnt from.
            sampled: written for training or as data.
            judged: written by a model that judges or refines.
            read: read by a reward model.
            evaluated: written for an evaluation.
            parameters: N, where another model than the stage's did the work.
            evaluating: what was read was read for an evaluation.
        """
        count = self.parameters if parameters is None else parameters
        found = {"trained_tokens": trained, "sampled_tokens": sampled, "judge_tokens": judged}
        found |= {"read_tokens": read, "evaluated_tokens": evaluated}
        found["training_flops"] = count * (6 * trained + 2 * (sampled + judged + (0 if evaluating else read)))
        found["evaluation_flops"] = count * 2 * (evaluated + (read if evaluating else 0))
        self._count_up(found)

    def spend_read(self, read: Mapping[int, int], *, evaluating: bool = False) -> None:
        """Count what reward models read on this rank, by their parameter count; a collective of all ranks."""
        shares = self.ranks.gather_objects(read)
        for count in sorted({count for share in shares for count in share}):
            self.spend(read=sum(share.get(count, 0) for share in shares), parameters=count, evaluating=evaluating)

    def _count_up(self, found: Mapping[str, float]) -> None:
        for name in COSTS:
            if found[name]:
                self.cursor[name] = self.cursor.get(name, 0) + int(found[name])

    @property
    def cost(self) -> dict[str, int]:
        """What ``spend`` counted so far."""
        return {name: self.cursor.get(name, 0) for name in COSTS}

    # ---- steps and the resume point ---------------------------------------------------------------------------

    def steps(self, total: int, state: Resumable, rate: Callable[[int, int], float] | None = None) -> Iterator[int]:
        """Yield the steps still to do, 0-based; after each one, write a resume point when one is due.

        Args:
            total: steps in all.
            state: what is trained.
            rate: (step, steps in all) -> learning rate, to say how it changes when a loop goes on with more steps.

        Raises:
            Interrupted: a signal came; the step was done to its end and a resume point holds it.
            InputError: no resume point of those that are there is whole, or this is the second loop of the stage.
        """
        if self._total >= 0:
            raise InputError(f"{self._called}: workspace.steps is called twice; put each loop in a workspace.part")
        first = self._restore(state)
        if self._point is not None and self._point.of != total:
            self.say(f"{self._called}: {resume.more_steps(self._point, total, rate)}")
        self._started = self._saved_at = time.monotonic()
        self._total, self._told_at = total, self._started
        with interrupts.held():
            for step in range(first, total):
                yield step
                self._count()
                due, signal = self._agreed()
                if due or signal or step + 1 == total:
                    self._save(step + 1, state)
                if signal or step + 1 == total:
                    self.ranks.broadcast_object(None)  # rank 0 has written it, so each may leave
                if signal:
                    raise interrupts.interrupted(signal)

    def elapsed(self) -> float:
        """Seconds up to now, over all sittings."""
        return self.seconds + (time.monotonic() - self._started if self._started else 0.0)

    def _count(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._started
        self._started = now

    def _agreed(self) -> tuple[bool, str]:
        """Whether a resume point is due, by rank 0's clock; the signal that has come to any rank."""
        found = self.ranks.gather_objects((self._due(), interrupts.asked()))
        return found[0][0], next((signal for _, signal in found if signal), "")

    def _due(self) -> bool:
        wait = self._save_cost and max(WORTH_SAVING, self._save_cost / SAVE_COST_SHARE)  # the first tells the cost
        return time.monotonic() >= self._saved_at + wait

    def _save(self, step: int, state: Resumable) -> None:
        began = time.monotonic()
        folder = self.folder / resume.FOLDER
        learner = folder / f"learner-{step}"
        if self.is_writer:
            folder.mkdir(exist_ok=True)  # not its parents: a run that somebody deleted is not made again
            resume.drop_learners(folder, self._point)  # so that there are never three on the disk
        state.save(learner)
        if self.is_writer:
            point = Point(
                key=self.key,
                step=step,
                of=self._total,
                learner=learner.name,
                files=resume.learner_files(learner),
                at=resume.log_marks(self.folder, self._point),
                cursor=dict(self.cursor),
                kept=deepcopy(self.kept),
                seconds=self.seconds,
            )
            resume.write(folder, point, self._point)
            self._point = point
        interrupts.keep(f"{self._called} stands at step {step} of {self._total}")
        self._saved_at = time.monotonic()
        self._save_cost = self._saved_at - began

    def _restore(self, state: Resumable) -> int:
        """Load the newest resume point that is whole, cut the logs to it; the step to go on from."""
        self._point = point = resume.restore(self.folder, self._called, state, self.ranks, self.say)
        if self.is_writer and (point or not self._begun):
            resume.cut_logs(self.folder, point)
        if point is None:
            interrupts.keep(f"{self._called} is at its beginning")
            return 0
        interrupts.keep(f"{self._called} stands at step {point.step} of {point.of}")
        self.cursor.update(point.cursor)
        self.kept.update(deepcopy(dict(point.kept)))
        self.seconds = point.seconds
        return point.step

    # ---- what a stage leaves ------------------------------------------------------------------------------------

    def append(self, log: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Append to ``NN_STAGE/LOG.jsonl`` (rank 0 only); undefined values are left out, see ``_written``."""
        if not self.is_writer:
            return
        text = "".join(json.dumps(_written(plain(line)), ensure_ascii=False) + "\n" for line in lines)
        with (self.folder / f"{log}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(text)

    def read(self, log: str, stage: str = "") -> list[dict[str, Any]]:
        """Lines of ``NN_STAGE/LOG.jsonl``, on any rank that sees the run folder; ``stage``: of an earlier stage."""
        path = (self.folder_of(stage) if stage else self.folder) / f"{log}.jsonl"
        return [dict(line.table) for line in strict_lines(path, "metrics", may_be_empty=True)] if path.is_file() else []

    def say_once(self, about: str, line: str) -> None:
        """Tell the user a line, unless this sitting has told one about the same before."""
        if about not in self._said:
            self._said.add(about)
            self.say(line)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One line of ``metrics.jsonl``; the user is told what is new of ``complaints``."""
        self.append("metrics", [{"step": step, "seconds": self.elapsed(), **metrics}])
        for line in self.complaints.fresh():
            self.say(line)
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            names = [name for name in TOLD if name in metrics][:2]
            told = ", ".join(f"{name} {metrics[name]:,.3g}" for name in names)
            of = f" of {self._total}" if self._total > 0 else ""
            (self.stands or self.say)(f"{self.stage}: step {step}{of}{', ' if told else ''}{told}")
            self._told_at = time.monotonic()

    def write(self, name: str, value: Any) -> None:
        """A JSON file of the stage, atomically (rank 0 only)."""
        if self.is_writer:
            write_atomic(self.folder / name, json.dumps(_written(plain(value)), ensure_ascii=False, indent=1) + "\n")

    def finish(self, result: StageResult) -> dict[str, Any]:
        """Write ``result.json``, which makes the stage done; what it says."""
        for line in self.complaints.rest():
            self.say(line)
        written = {
            "stage": self.stage,
            "seconds": self.seconds,
            "cost": self.cost,
            "metrics": plain(result.metrics),
            "inputs": list(result.inputs),
            "checkpoint": result.checkpoint,
            "key": self.key,
        }
        if self.is_writer:
            table = {**_written(plain(written)), "checkpoint": result.checkpoint}
            write_atomic(self.folder / "result.json", json.dumps(table, ensure_ascii=False, indent=1) + "\n")
        return written


def _written(value: Any) -> Any:
    """As it goes into a file: floats with 7 significant digits (float32's). What is undefined (None, NaN, infinite) is
    left out of an object, and is null in a list, whose places count."""
    if isinstance(value := scalar(value), float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        items = ((key, _written(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not None}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value
