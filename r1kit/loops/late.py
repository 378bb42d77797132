"""Rollouts that do not stand still for slow verdicts: a group whose tests still run is carried over, or left out.

A group goes to the verifier's processes as soon as its last completion ends, while others are still sampled. Once all
are sampled a step waits ``verdicts.patience`` seconds for the verdicts. A group without one then is learnt from at a
later step (``carry``: at most ``carry_steps`` later, for which it is waited for; its completions are stale by then, and
corrected as those that were sampled ahead are), or never (``drop``). A step that carries groups samples as many fewer.

Which groups are late is a matter of timing. It is kept in the stage's ``late.log``, a line a step, before the step
learns, and a run that was killed repeats the steps after its resume point by that: it waits for the groups that were
there the first time and does without the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from r1kit.files import forgiving_lines
from r1kit.loops import in_flight
from r1kit.loops.dealing import Drawn, Scored, in_turn
from r1kit.loops.in_flight import Out
from r1kit.loops.rollouts import Numbered, PromptStream, Rollouts
from r1kit.records import Group
from r1kit.resume import Resumable
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed

__all__ = ["LOG", "Late"]

LOG = "late.log"
CARRIED = "carried-"
"""Files of a resume point, one a rank."""


@dataclass(frozen=True, slots=True)
class Late(Rollouts):
    """``Rollouts`` that leave groups without a verdict for later."""

    held: list[Out] = field(default_factory=list)
    """Groups of all ranks that are not learnt from yet, in the order they were dealt; those of others without their
    completions."""
    dropped: list[int] = field(default_factory=list)
    """Of the step: numbers of the prompts, of all ranks."""

    def beside(self, learner: Resumable) -> Resumable:
        """What survives a kill: the learner, and what is carried."""
        return _Beside(self, learner)

    def stop(self, step: int) -> None:
        """Nothing is waited for any more."""
        stopped = [one.number for one in self.held]
        self.policy.workspace.append("prompts", [{"step": step, "dealt": [], "stopped": stopped}])
        self.held.clear()

    def submit(self, one: Out, group: Group) -> None:
        """Hand a group of this rank to the verifier."""
        one.group, one.sampled = group, time.monotonic()
        one.verdict = self.policy.scorer.verifier.submit(group)
        one.verdict.add_done_callback(partial(in_flight.settle, one.scored, group))

    # ---- a step -----------------------------------------------------------------------------------------------------

    def _round(
        self, step: int, attempt: int, missing: int, stream: PromptStream, drawn: Drawn
    ) -> tuple[list[Numbered], list[Scored]]:
        new = self._deal(step, stream)
        mine = [one for one in new if one.rank == self.policy.workspace.ranks.rank]
        began = time.monotonic()
        self._sample_all(mine, step)
        sampled = time.monotonic()
        late = self._late(step, attempt)
        drawn.took(sampling=sampled - began, scoring=time.monotonic() - sampled)
        ranks = self.policy.workspace.ranks
        ready = [
            [one for one in self.held if one.rank == rank and one.number not in late] for rank in range(ranks.size)
        ]
        taken = in_turn(ready)
        for one in taken:
            self.held.remove(one)
        count = drawn.metrics.get("late", 0), drawn.metrics.get("carried", 0)
        drawn.metrics |= {
            "late": count[0] + len(late),
            "carried": count[1] + sum(one.step < step for one in taken),
        }
        if self.config.verdicts.slow == "drop":
            self.dropped.extend(one.number for one in self.held)
            for one in self.held:
                if one.verdict:
                    one.verdict.cancel()  # so that what nobody waits for takes no turn of what is waited for
            self.held.clear()
        return [(one.number, one.prompt) for one in taken], self._learnt(ready[ranks.rank])

    def _after(self, step: int, stream: PromptStream, drawn: Drawn, fate: dict[str, list[int]]) -> None:
        fate["dropped"] = list(self.dropped)
        drawn.metrics["dropped"] = len(self.dropped)
        self.dropped.clear()

    def _deal(self, step: int, stream: PromptStream) -> list[Out]:
        """As many prompts as a step takes beside what it carries; the same on every rank."""
        config, size = self.config, self.policy.workspace.ranks.size
        each = config.prompts_per_step // size
        lacking = [[rank] * max(0, each - sum(one.rank == rank for one in self.held)) for rank in range(size)]
        ranks = in_turn(lacking)
        due = min(step + config.verdicts.carry_steps, config.steps - 1)
        new = [
            Out(number=number, prompt=prompt, step=step, due=due, rank=rank)
            for (number, prompt), rank in zip(stream.take(self.tasks_at(step), len(ranks)), ranks, strict=True)
        ]
        self.held.extend(new)
        return new

    def _sample_all(self, mine: Sequence[Out], step: int) -> None:
        workspace, policy = self.policy.workspace, self.policy
        seeds = [stream_seed(workspace.seed, workspace.stage, "rollout", one.number) for one in mine]
        sample_groups(
            policy.engine,
            [one.prompt for one in mine],
            policy.render,
            self.config.sampling_at(step),
            seeds.__getitem__,
            lambda place, group: self.submit(mine[place], group),
        )

    def _late(self, step: int, attempt: int) -> frozenset[int]:
        """Numbers of the prompts whose groups the step does without, of all ranks. A collective."""
        ranks, folder = self.policy.workspace.ranks, self.policy.workspace.folder
        mine = [one for one in self.held if one.rank == ranks.rank]
        before = _told(folder / LOG).get((step, attempt))
        if before is None:
            self._wait(step, mine)
            late = [one.number for one in mine if not one.ended]
            before = [number for told in ranks.gather_objects(late) for number in told]
            if self.policy.workspace.is_writer:
                with (folder / LOG).open("a", encoding="utf-8") as log:
                    log.write(json.dumps({"step": step, "attempt": attempt, "late": before}) + "\n")
        else:
            wait([one.scored for one in mine if one.number not in before])
            ranks.gather_objects(None)
        return frozenset(before)

    def _wait(self, step: int, mine: Sequence[Out]) -> None:
        """Until the patience is over, and for what is due, and for one group at least."""
        carries = self.config.verdicts.slow == "carry"
        until = time.monotonic() + self.config.verdicts.patience
        wait([one.scored for one in mine if carries and one.due <= step])
        wait([one.scored for one in mine], timeout=max(0.0, until - time.monotonic()))
        if mine and not any(one.ended for one in mine):
            wait([one.scored for one in mine], return_when=FIRST_COMPLETED)

    def _learnt(self, ready: Sequence[Out]) -> list[Scored]:
        """This rank's groups with all of their scores."""
        found = [one.scored.result() for one in ready]
        scores = self.policy.scorer.with_models([group for group, _ in found], [rules for _, rules in found])
        self.policy.workspace.spend_read(self.policy.scorer.read())
        return [(group, own) for (group, _), own in zip(found, scores, strict=True)]


class _Beside:
    """A learner and what is carried, as one resume point."""

    def __init__(self, late: Late, learner: Resumable) -> None:
        self._late, self._learner, self._ranks = late, learner, late.policy.workspace.ranks

    def save(self, folder: Path) -> None:
        self._learner.save(folder)
        self._ranks.broadcast_object(None)  # the folder is there
        mine = [one for one in self._late.held if one.rank == self._ranks.rank]
        in_flight.write(folder / f"{CARRIED}{self._ranks.rank}.pt", mine)
        self._ranks.gather_objects(None)

    def load(self, folder: Path) -> None:
        """What has no verdict yet goes to the verifier again."""
        self._learner.load(folder)
        held = self._late.held
        held[:] = in_flight.read(folder, CARRIED, self._ranks.size)
        for one in held:
            if one.rank == self._ranks.rank and one.group is not None and not one.ended:
                self._late.submit(one, one.group)


def _told(path: Path) -> dict[tuple[int, int], list[int]]:
    """(step, attempt) -> who was late, as far as it was decided before."""
    return {(line["step"], line["attempt"]): line["late"] for line in forgiving_lines(path)[0]}
