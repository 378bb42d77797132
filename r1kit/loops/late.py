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
from r1kit.loops.in_flight import InFlight, Out
from r1kit.loops.rollouts import Numbered, PromptStream
from r1kit.records import Group
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed

__all__ = ["LOG", "Late"]

LOG = "late.log"


@dataclass(frozen=True, slots=True)
class Late(InFlight):
    """``Rollouts`` that leave groups without a verdict for later."""

    FILES = "carried-"
    dropped: list[int] = field(default_factory=list)
    """Of the step: numbers of the prompts, of all ranks."""

    def submit(self, one: Out, group: Group) -> None:
        """Hand a group of this rank to the verifier."""
        one.group, one.sampled = group, time.monotonic()
        one.verdict = self.policy.scorer.verifier.submit(group)
        one.verdict.add_done_callback(partial(in_flight.settle, one.scored, group))

    def after_load(self, mine: Sequence[Out]) -> None:
        """What has no verdict yet goes to the verifier again."""
        for one in mine:
            if one.group is not None and not one.ended:
                self.submit(one, one.group)

    # ---- a step -----------------------------------------------------------------------------------------------------

    def _round(
        self, step: int, attempt: int, missing: int, stream: PromptStream, drawn: Drawn
    ) -> tuple[list[Numbered], list[Scored]]:
        new = self._deal(step, stream)
        mine = self.mine(new)
        began = time.monotonic()
        self._sample_all(mine, step)
        sampled = time.monotonic()
        late = self._late(step, attempt)
        drawn.took(sampling=sampled - began, scoring=time.monotonic() - sampled)
        ranks = self.policy.workspace.ranks
        ready = [[one for one in self.out if one.rank == rank and one.number not in late] for rank in range(ranks.size)]
        taken = in_turn(ready)
        for one in taken:
            self.out.remove(one)
        count = drawn.metrics.get("late", 0), drawn.metrics.get("carried", 0)
        drawn.metrics |= {
            "late": count[0] + len(late),
            "carried": count[1] + sum(one.step < step for one in taken),
        }
        if self.config.verdicts.slow == "drop":
            self.dropped.extend(one.number for one in self.out)
            for one in self.out:
                if one.verdict:
                    one.verdict.cancel()  # so that what nobody waits for takes no turn of what is waited for
            self.out.clear()
        return [(one.number, one.prompt) for one in taken], self.with_models(ready[ranks.rank])

    def _after(self, step: int, stream: PromptStream, drawn: Drawn, fate: dict[str, list[int]]) -> None:
        fate["dropped"] = list(self.dropped)
        drawn.metrics["dropped"] = len(self.dropped)
        self.dropped.clear()

    def _deal(self, step: int, stream: PromptStream) -> list[Out]:
        """As many prompts as a step takes beside what it carries; the same on every rank."""
        config, size = self.config, self.policy.workspace.ranks.size
        each = config.prompts_per_step // size
        ranks = in_turn([self.lacking(rank, each) for rank in range(size)])
        due = min(step + config.verdicts.carry_steps, config.steps - 1)
        return self.deal(stream, step, ranks, due)

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
        mine = self.mine(self.out)
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


def _told(path: Path) -> dict[tuple[int, int], list[int]]:
    """(step, attempt) -> who was late, as far as it was decided before."""
    return {(line["step"], line["attempt"]): line["late"] for line in forgiving_lines(path)[0]}
