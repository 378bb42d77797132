"""Rollouts ahead of the learner: engines of their own sample the next steps' prompts while this step is learnt from.

Every rank deals the same prompts at the same moment and asks an engine for its share of them. A group is scored as soon
as its last completion ends. Nothing older than ``max_lag`` steps is ever learnt from, by the oldest token's version.

``order = "in_turn"`` with ``over_update = "wait"`` repeats: what was dealt under a version is sampled by it, whole, so
a run is a function of its seed however long anything takes. Otherwise timing decides which groups a step gets, or which
weights wrote a token; prompts are still dealt once, and learnt from once or accounted for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import cast

from r1kit.errors import InputError
from r1kit.loops import in_flight
from r1kit.loops.dealing import Drawn, Scored, in_turn
from r1kit.loops.in_flight import InFlight, Out
from r1kit.loops.lag import depth
from r1kit.loops.rollouts import Numbered, PromptStream, Rollouts
from r1kit.records import Completion, Group
from r1kit.rollout.engine import Detached
from r1kit.rollout.streams import stream_seed
from r1kit.update.learner import shares

__all__ = ["Ahead"]


@dataclass(slots=True)
class _Seen:
    """Of a step, for its metrics."""

    waited: float = 0.0
    """Seconds before a hand-over of weights, and for groups to choose from."""
    queue: int = 0
    """Groups that had ended when the step came to take its own."""
    dropped: list[int] = field(default_factory=list)
    """Numbers of the prompts, of all ranks."""

    def clear(self) -> None:
        self.waited, self.queue = 0.0, 0
        self.dropped.clear()


@dataclass(frozen=True, slots=True)
class Ahead(InFlight):
    """``Rollouts`` whose prompts are out before the step that learns from them."""

    FILES = "in_flight-"
    seen: _Seen = field(default_factory=_Seen)

    def __post_init__(self) -> None:
        engine, lag = self.policy.engine, self.config.max_lag
        if not isinstance(engine, Detached):
            raise InputError(
                f"{self.policy.workspace.stage}: max_lag = {lag} needs an engine that samples while the learner "
                "learns, and this one does not; set [cluster] engines = 1 or more, or max_lag = 0"
            )
        engine.over_update = self.config.over_update

    @property
    def repeats(self) -> bool:
        """Whether a run is to be the same whatever the timing."""
        return self.config.order == "in_turn" and self.config.over_update == "wait"

    # ---- a step -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Before new weights: where runs are to repeat, what was dealt under the old ones is sampled by them."""
        if self.repeats:
            began = time.monotonic()
            wait([one.asked for one in self.mine(self.out) if one.asked])
            self.seen.waited += time.monotonic() - began

    def next(self, step: int) -> Drawn:
        """See ``Rollouts.next``."""
        self.seen.queue = sum(one.ended for one in self.mine(self.out))
        return Rollouts.next(self, step)

    def _round(
        self, step: int, attempt: int, missing: int, stream: PromptStream, drawn: Drawn
    ) -> tuple[list[Numbered], list[Scored]]:
        if self.config.order == "in_turn":
            taken = [one for one in self.out if one.step == step] if attempt == 0 else []
            taken = taken or self._deal(stream, step, step, self._turns(self.config.prompts_per_step))
            self._ask()
            mine = self.mine(taken)
        else:
            self._top_up(stream, step, missing)
            self._ask()
            mine = self._choose(step, missing)
            taken = self._agree(step, mine)
        found = self._scored(step, mine, drawn)
        for one in taken:
            self.out.remove(one)
        return [(one.number, one.prompt) for one in taken], found

    def _after(self, step: int, stream: PromptStream, drawn: Drawn, fate: dict[str, list[int]]) -> None:
        if self.config.order == "in_turn":  # now, so that what is dealt does not depend on how far the engines are
            first = max((one.step for one in self.out), default=step) + 1
            for later in range(first, min(step + depth(self.config), self.config.steps - 1) + 1):
                self._deal(stream, step, later, self._turns(self.config.prompts_per_step))
            self._ask()
        fate["dropped"] = list(self.seen.dropped)
        drawn.took(sampling=self.seen.waited, scoring=0.0)
        drawn.metrics |= self._metrics(step, drawn)
        self.seen.clear()

    def before_save(self, mine: Sequence[Out]) -> None:
        """Where runs are to repeat: the weights that what is out is sampled by are gone at the next step."""
        if self.repeats:
            wait([one.scored for one in mine])

    # ---- dealing and asking -----------------------------------------------------------------------------------------

    def _turns(self, count: int) -> list[int]:
        """Ranks in turn."""
        return [place % self.policy.workspace.ranks.size for place in range(count)]

    def _deal(self, stream: PromptStream, now: int, step: int, ranks: Sequence[int]) -> list[Out]:
        return self.deal(stream, step, ranks, due=now + self.config.max_lag)

    def _top_up(self, stream: PromptStream, step: int, missing: int) -> None:
        """As many out as the step still takes, and as many as are to be out after it, each dealt for the step that
        would take it in turn."""
        config, size = self.config, self.policy.workspace.ranks.size
        later = min(depth(config), config.steps - 1 - step)
        wanted = self._turns(missing) + self._turns(config.prompts_per_step) * later
        lacking = [self.lacking(rank, wanted.count(rank)) for rank in range(size)]
        ranks = in_turn(lacking) if any(lacking) else []
        places = range(len(self.out), len(self.out) + len(ranks))  # those that are out already come before
        meant = [step + (place - missing + config.prompts_per_step) // config.prompts_per_step for place in places]
        for at, alike in groupby(zip(meant, ranks, strict=True), itemgetter(0)):
            self._deal(stream, step, min(at, config.steps - 1), [rank for _, rank in alike])

    def _ask(self) -> None:
        """Put this rank's to the engine, those that it has not been asked yet: together, so that which engine gets
        which does not depend on the time between them."""
        new = [one for one in self.mine(self.out) if one.asked is None and not one.ended]
        workspace, policy = self.policy.workspace, self.policy
        for sampling, alike in groupby(new, lambda one: self.config.sampling_at(one.step)):
            together = list(alike)
            rendered = [tuple(policy.render(one.prompt)) for one in together]
            seeds = [stream_seed(workspace.seed, workspace.stage, "rollout", one.number) for one in together]
            asked = cast(Detached, policy.engine).submit_all(rendered, sampling, seeds)
            for one, ids, answer in zip(together, rendered, asked, strict=True):
                one.asked = answer
                answer.add_done_callback(partial(self._sampled, one, ids))

    def _sampled(self, one: Out, ids: tuple[int, ...], answer: Future[tuple[Completion, ...]]) -> None:
        """On the engine's thread: hand a group that has ended to the verifier."""
        one.sampled = time.monotonic()
        if answer.cancelled():
            one.scored.cancel()
            return
        try:
            group = Group(prompt=one.prompt, prompt_ids=ids, completions=answer.result())
            self.policy.scorer.verifier.submit(group).add_done_callback(partial(in_flight.settle, one.scored, group))
        except BaseException as error:  # told to whoever waits for the group
            one.scored.set_exception(error)

    # ---- taking -----------------------------------------------------------------------------------------------------

    def _choose(self, step: int, missing: int) -> list[Out]:
        """This rank's part of a step: whichever are ready, those due first before others; all that must be now."""
        ranks, chosen = self.policy.workspace.ranks, list[Out]()
        count = self._turns(missing).count(ranks.rank)
        began = time.monotonic()
        while len(chosen) < count:
            left = sorted((one for one in self.mine(self.out) if one not in chosen), key=lambda o: (o.due, o.number))
            among = left if self.config.late == "drop" else self._must(left, step, count - len(chosen))
            ready = [one for one in among if one.ended]
            if ready:
                chosen.append(ready[0])
            else:
                wait([one.scored for one in among], return_when=FIRST_COMPLETED)
        self.seen.waited += time.monotonic() - began
        return chosen

    def _must(self, left: Sequence[Out], step: int, places: int) -> Sequence[Out]:
        """Those that a step's next place may go to so that none is ever too old: all, unless the places of the steps
        up to some later one are just enough for what is due by then.

        Args:
            left: by when they are due.
            places: of this step, that are still free.
        """
        each = self.config.prompts_per_step // self.policy.workspace.ranks.size
        for due in sorted({one.due for one in left}):
            by_then = [one for one in left if one.due <= due]
            if len(by_then) >= places + each * max(0, due - step):
                return by_then
        return left

    def _agree(self, step: int, mine: Sequence[Out]) -> list[Out]:
        """What all ranks take, in turn; what will be too old is left out where it is not waited for. A collective."""
        late = self.mine(self.out) if self.config.late == "drop" else []
        old = [one for one in late if one.due <= step and one not in mine]
        told = self.policy.workspace.ranks.gather_objects(([o.number for o in mine], [o.number for o in old]))
        numbered = {one.number: one for one in self.out}
        for number in (number for _, dropped in told for number in dropped):
            self.out.remove(numbered[number])
            self.seen.dropped.append(number)
        for one in old:
            if one.asked:
                one.asked.cancel()
        return [numbered[number] for number in in_turn([chosen for chosen, _ in told])]

    def _scored(self, step: int, mine: Sequence[Out], drawn: Drawn) -> list[Scored]:
        """The groups of these prompts with all of their scores; waits for them. What is too old is drawn again."""
        began = time.monotonic()
        wait([one.scored for one in mine])
        while old := [one for one in mine if _oldest(one) < step - self.config.max_lag]:
            for one in old:
                one.asked, one.scored = None, Future()
            self._ask()
            wait([one.scored for one in old])
        ended = time.monotonic()
        sampled = min(ended, max([began, *(one.sampled for one in mine)]))
        drawn.took(sampling=sampled - began, scoring=ended - sampled)
        return self.with_models(mine)

    def _metrics(self, step: int, drawn: Drawn) -> dict[str, float]:
        """Of a step, over all ranks: docs/metrics.md. A collective."""
        ranks, completions = self.policy.workspace.ranks, [c for group in drawn.groups for c in group.completions]
        if not shares(self.policy.learner) and ranks.rank:
            completions = []  # every rank holds the same
        lags = [step - completion.version for completion in completions]
        old = sum(_older(completion, step) for completion in completions)
        tokens = sum(len(completion.token_ids) for completion in completions)
        mine = (sum(lags), len(lags), max(lags, default=0), old, tokens, self.seen.queue)
        lag, count, _, stale, every, queue = map(sum, zip(*(told := ranks.gather_objects(mine)), strict=True))
        return {
            "lag": lag / max(1, count),
            "lag_max": max(one[2] for one in told),
            "off_policy_share": stale / max(1, every),
            "waited_seconds": drawn.metrics["sample_seconds"] + drawn.metrics["score_seconds"],
            "queue": queue,
            "dropped": len(self.seen.dropped),
        }


def _oldest(one: Out) -> float:
    """Version of the oldest token; none is old of what failed."""
    if one.scored.cancelled() or one.scored.exception() is not None:
        return math.inf
    return min(completion.version for completion in one.scored.result()[0].completions)


def _older(completion: Completion, version: int) -> int:
    """Tokens that an earlier version wrote."""
    spans = completion.spans or ((completion.version, len(completion.token_ids)),)
    return sum(tokens for wrote, tokens in spans if wrote < version)
