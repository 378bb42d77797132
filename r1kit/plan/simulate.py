"""A discrete-event model of RL steps: who waits for whom while prompts are sampled, judged and learnt from.

Engines decode continuously: a row that waits takes the place of one that ended. A group is judged when its last row has
ended, an update waits for its groups, new weights wait for what an engine must finish first (``over_update = "wait"``).
How long each part takes by itself is a ``Pace``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from r1kit.loops.lag import depth
from r1kit.plan.events import Clock
from r1kit.plan.pace import Lengths, Pace

__all__ = ["Layout", "Load", "Outcome", "simulate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a step asks for."""

    prompts: int
    n: int
    prompt_tokens: float
    rows_in_flight: int
    """Of one engine."""
    minibatches: int = 1
    passes: float = 0
    """Forward passes for log-probs alone: of the old policy, of the reference."""
    max_lag: int = 0
    over_update: Literal["wait", "keep", "recompute"] = "wait"
    order: Literal["in_turn", "ready"] = "in_turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which processes there are."""

    ranks: int
    engines: int = 0
    """That only sample; 0: every rank samples its share, in turn with learning."""
    verifiers: int = 1
    cores: float = 0.0
    """That all processes share; 0: each has a device of its own."""
    swap: float = 0.0
    """Seconds to move engine and learner in and out of devices that they share, a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Means over the second half of the steps; the first fills the pipe."""

    step_seconds: float
    sampled_tokens: float
    """A step."""
    engines_idle: float
    """Share of the time in which an engine does not decode."""
    learners_idle: float
    """Share of the time in which a rank does not learn."""
    lag: float
    """Updates between the oldest weights in a group and those that learnt from it."""

    @property
    def tokens_per_second(self) -> float:
        return self.sampled_tokens / self.step_seconds


def simulate(pace: Pace, load: Load, layout: Layout, lengths: Lengths, *, steps: int = 20, seed: int = 1) -> Outcome:
    """The first steps of a run, in turn or ahead of the learner by ``load.max_lag``, with lengths drawn from a seed."""
    run = _Run(pace, load, layout, lengths, steps, seed)
    run.clock.run(until=lambda: run.step == steps and not run.publishing)
    return run.outcome()


@dataclass(slots=True, eq=False)
class _Group:
    step: int
    """That it was dealt for."""
    rows: list[int]
    """Tokens of each."""
    left: int
    """Rows that have not ended."""
    oldest: int = -1
    """Version of the weights that began it; -1: not begun."""


@dataclass(slots=True, eq=False)
class _Engine:
    """Continuous decoding. Every row in flight writes a token at once, so ``written``, the tokens since the beginning,
    is the same clock for all of them: a row ends when it passes the mark that was set as the row was let in."""

    name: str
    run: _Run
    version: int = 0
    waiting: deque[tuple[_Group, int]] = field(default_factory=deque)
    """(group, tokens) of rows without a place."""
    rows: list[tuple[float, int, int, _Group]] = field(default_factory=list)
    """Heap of (mark, number, tokens, group) of rows in flight."""
    written: float = 0.0
    marks: float = 0.0
    """Sum of the marks."""
    before: float = 0.0
    """Sum over the rows in flight of the context that each came with, less ``written`` at that time."""
    queued: float = 0.0
    """Tokens of ``waiting``."""
    taken: Callable[[], None] | None = None
    """To be called when it has the newest weights; None: it has them."""
    chunk: float = 0.0
    """Tokens that each row in flight is writing, till the next one ends."""
    seconds: float = 0.0
    loading: bool = False
    number: int = 0

    @property
    def owed(self) -> float:
        """Tokens still to write."""
        return self.queued + self.marks - len(self.rows) * self.written

    def add(self, groups: list[_Group]) -> None:
        self.waiting.extend((group, tokens) for group in groups for tokens in group.rows)
        self.queued += sum(sum(group.rows) for group in groups)
        self._interrupt()

    def take(self, version: int, taken: Callable[[], None]) -> None:
        """Load new weights as soon as it may, then go on."""
        self.version, self.taken = version, taken
        self._interrupt()

    def _interrupt(self) -> None:
        """Count what was written of a chunk so far, in whole tokens, and see what comes next."""
        if self.chunk:
            left = self.run.clock.stop(self.name)
            self._advance(float(int(self.chunk * (1 - left / self.seconds) + 1e-9)))
        self._next()

    def _advance(self, tokens: float) -> None:
        self.chunk = 0.0
        self.written += tokens
        while self.rows and self.rows[0][0] <= self.written:
            mark, _, tokens_of, group = heapq.heappop(self.rows)
            self.marks -= mark
            self.before -= self.run.load.prompt_tokens - (mark - tokens_of)
            self.run.row_ended(group)

    def _next(self) -> None:
        if self.loading or self.chunk:
            return
        if self.taken and (self.run.load.over_update != "wait" or not self.rows):
            self.loading, seconds = True, self.run.pace.hand_over
            if self.run.load.over_update == "recompute":
                seconds += (self.before + len(self.rows) * self.written) * self.run.pace.prompt
            self.run.clock.start(self.name, seconds, self._loaded)
            return
        prompts = 0 if self.taken else self._let_in()
        if not self.rows:
            return
        pace, load = self.run.pace, self.run.load
        self.chunk = self.rows[0][0] - self.written
        keys = self.before + len(self.rows) * (self.written + self.chunk / 2)
        self.seconds = self.chunk * pace.token_step(len(self.rows), keys) + prompts * load.prompt_tokens * pace.prompt
        self.run.clock.start(self.name, self.seconds, self._reached)

    def _let_in(self) -> int:
        """Rows that wait take free places; the number of prompts that are read for them."""
        prompts = 0
        while self.waiting and len(self.rows) < self.run.load.rows_in_flight:
            group, tokens = self.waiting.popleft()
            self.queued -= tokens
            if group.oldest < 0:
                group.oldest, prompts = self.version, prompts + 1
            self.number += 1
            heapq.heappush(self.rows, (self.written + tokens, self.number, tokens, group))
            self.marks += self.written + tokens
            self.before += self.run.load.prompt_tokens - self.written
        return prompts

    def _reached(self) -> None:
        self._advance(self.chunk)
        self._next()

    def _loaded(self) -> None:
        assert self.taken is not None
        taken, self.taken, self.loading = self.taken, None, False
        taken()
        self._next()


class _Run:
    """The learner's side, which deals, waits, learns and publishes; and the verifiers."""

    def __init__(self, pace: Pace, load: Load, layout: Layout, lengths: Lengths, steps: int, seed: int) -> None:
        self.pace, self.load, self.layout, self.steps = pace, load, layout, steps
        self.clock = Clock(layout.cores)
        self.lengths = lengths.draw(seed)
        self.ahead = layout.engines > 0
        count = layout.engines if self.ahead else layout.ranks
        self.engines = [_Engine(f"engine {number}", self) for number in range(count)]
        self.judging, self.queue = [False] * layout.verifiers, deque[_Group]()
        self.out: list[_Group] = []
        """Dealt and not learnt from."""
        self.scored: list[_Group] = []
        self.dealt = self.step = self.learning = self.publishing = 0
        self.half: tuple[float, float, float] | None = None
        """Time, and busy seconds of engines and ranks, when half of the steps were done."""
        self.tokens, self.lags = 0.0, list[int]()
        self._begin()

    # ---- the learner ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Deal prompts as far ahead as the bound allows, and wait for this step's."""
        if self.half is None and self.step == self.steps // 2:
            self.half = (self.clock.now, self.clock.used("engine"), self.clock.used("rank"))
            self.tokens, self.lags = 0.0, []
        if self.step == self.steps:
            return
        while self.dealt <= self.step + depth(self.load):
            self._deal(self.dealt)
            self.dealt += 1
        self._learn()

    def _deal(self, step: int) -> None:
        n = self.load.n
        groups = [_Group(step, [next(self.lengths) for _ in range(n)], n) for _ in range(self.load.prompts)]
        self.out += groups
        shares: list[list[_Group]] = [[] for _ in self.engines]
        owed = [engine.owed for engine in self.engines]
        for place, group in enumerate(groups):
            least = owed.index(min(owed)) if self.ahead else place % len(shares)
            shares[least].append(group)
            owed[least] += sum(group.rows)
        for engine, share in zip(self.engines, shares, strict=True):
            engine.add(share)

    def _learn(self) -> None:
        """Update, if nothing is under way and this step's groups are scored."""
        if self.learning or self.publishing or self.step == self.steps or not (taken := self._taken()):
            return
        tokens = sum(sum(group.rows) + self.load.prompt_tokens for group in taken)
        self.tokens += sum(sum(group.rows) for group in taken)
        self.lags += [self.step - group.oldest for group in taken]
        gone = {id(group) for group in taken}
        self.out = [group for group in self.out if id(group) not in gone]
        self.scored = [group for group in self.scored if id(group) not in gone]
        each = self.pace.learn + self.load.passes * self.pace.read
        looked_at = sum(taken[0].rows) + self.load.prompt_tokens  # one group's log-probs, held against its engine's
        seconds = tokens / self.layout.ranks * each + looked_at * self.pace.read
        seconds += self.load.minibatches * self.pace.update + self.pace.other
        self.learning = self.layout.ranks
        for rank in range(self.layout.ranks):
            self.clock.start(f"rank {rank}", seconds + self.layout.swap, self._learnt)

    def _taken(self) -> list[_Group]:
        """The groups of this step; empty while some of them are missing. By ``ready`` those that are scored, the oldest
        first, as long as what is left can still be learnt from before it is too old."""
        if len(self.scored) < self.load.prompts:
            return []
        if self.load.order == "in_turn":
            found = [group for group in self.scored if group.step == self.step]
            return found if len(found) == self.load.prompts else []
        found = sorted(self.scored, key=lambda group: group.oldest)[: self.load.prompts]
        gone = {id(group) for group in found}
        rest = sorted(group.oldest for group in self.out if group.oldest >= 0 and id(group) not in gone)
        due = (self.step + 1 + place // self.load.prompts - self.load.max_lag for place in range(len(rest)))
        return [] if any(oldest < least for oldest, least in zip(rest, due, strict=True)) else found

    def _learnt(self) -> None:
        self.learning -= 1
        if self.learning:
            return
        self.step += 1
        self.publishing = len(self.engines)
        for engine in self.engines:
            engine.take(self.step, self._published)

    def _published(self) -> None:
        self.publishing -= 1
        if not self.publishing:
            self._begin()

    # ---- rewards ----------------------------------------------------------------------------------------------------

    def row_ended(self, group: _Group) -> None:
        group.left -= 1
        if not group.left:
            self.queue.append(group)
            self._judge()

    def _judge(self) -> None:
        for verifier, busy in enumerate(self.judging):
            if self.queue and not busy:
                self._start(verifier, self.queue.popleft())

    def _start(self, verifier: int, group: _Group) -> None:
        self.judging[verifier] = True

        def judged() -> None:
            self.judging[verifier] = False
            self.scored.append(group)
            self._judge()
            self._learn()

        self.clock.start(f"verifier {verifier}", self.load.n * self.pace.score, judged)

    # ---- what is told -----------------------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        assert self.half is not None, "the run came to a stop"
        since, engines, ranks = self.half
        steps, passed = self.steps - self.steps // 2, self.clock.now - since
        return Outcome(
            step_seconds=passed / steps,
            sampled_tokens=self.tokens / steps,
            engines_idle=max(0.0, 1 - (self.clock.used("engine") - engines) / (passed * len(self.engines))),
            learners_idle=max(0.0, 1 - (self.clock.used("rank") - ranks) / (passed * self.layout.ranks)),
            lag=sum(self.lags) / max(1, len(self.lags)),
        )
