"""A curriculum: prompts drawn by their pass rate so far, tasks made harder as they are learnt. No torch here.

A group whose completions are all right, or all wrong, costs a rollout and has no advantage. With a pass rate p, the
next group of a prompt teaches most where p (1 - p) is largest; so prompts come in the task's own order and each is
passed over with a chance that grows as p nears 0 or 1. A prompt that was not seen yet is always taken, and every prompt
keeps a floor, because what was hopeless may have come within reach. Where prompts never come twice (generators) there
is nothing to go by; a task with levels climbs them instead.

All of it is a pure function of the seed and of the scores, the same on every rank; what it knows is kept with the
resume point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.errors import InputError, R1Error
from r1kit.faults import users_told
from r1kit.records import Prompt
from r1kit.registry import find, short
from r1kit.seeds import stream
from r1kit.structure import scalar
from r1kit.tasks.split import own_cluster
from r1kit.tasks.task import Task

__all__ = ["Curriculum", "Drawing", "chance", "pass_rate", "weight"]

REMEMBERED = 100_000
"""Prompts of a task whose pass rate is kept; those seen longest ago go first."""
PATIENCE = 200
"""Prompts passed over in a row before the next one is taken as it comes."""
_BY = {"turn": "r1kit.loops.curriculum:weight", "pass_rate": "r1kit.loops.curriculum:weight"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curriculum:
    """Which of a task's prompts RL asks."""

    by: str = "turn"
    """``turn``: every prompt in its turn. ``pass_rate``: those more often that are sometimes right and sometimes wrong,
    and a task that has levels goes up and down them. ``FILE.py:NAME``: the same by a function of your own,
    ``f(rate, seen)``: the chance, 0 to 1, of a prompt of this pass rate, of so many completions that still count."""
    floor: float = 0.1
    """Least chance that a prompt is taken when its turn comes; 1 is ``turn``."""
    decay: float = 0.5
    """What the completions of a prompt's earlier turns still count when newer ones come: the policy changes."""
    level_groups: int = 32
    """Groups after which a task's level is looked at."""
    raise_above: float = 0.8
    """Pass rate over these groups from which on a task goes up a level."""
    lower_below: float = 0.2
    """Pass rate down from which it goes back one."""

    def check(self, stage: str) -> None:
        """Raise InputError for a value that could not work."""
        where = f"stages.{stage}.curriculum"
        if self.by != "turn":
            try:
                with users_told(f"{where}.by"):
                    chance(self.by, 0.5, 1.0, self.floor, f"{where}.by: ")
            except R1Error as error:
                raise InputError(str(error)) from error
        for name in ("floor", "decay", "raise_above", "lower_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{where}.{name} = {getattr(self, name)}: must be between 0 and 1")
        if not self.floor:
            raise InputError(f"{where}.floor = 0: a prompt that failed once would never come again; set it above 0")
        if not self.lower_below < self.raise_above:
            raise InputError(
                f"{where}: lower_below = {self.lower_below} must be below raise_above = {self.raise_above}"
            )
        if self.level_groups < 1:
            raise InputError(f"{where}.level_groups = {self.level_groups}: must be at least 1")


def pass_rate(right: float, seen: float) -> float:
    """Of a prompt, from its (decayed) counts: the mean of a Beta distribution with half a success and half a failure
    beforehand, so that one group of all right or all wrong says neither 1 nor 0."""
    return (right + 0.5) / (seen + 1.0)


def weight(rate: float, floor: float) -> float:
    """Chance that a prompt of this pass rate is taken: 4 p (1 - p), 1 where half is right, and at least the floor."""
    return max(floor, 4.0 * rate * (1.0 - rate))


def chance(by: str, rate: float, seen: float, floor: float, where: str = "") -> float:
    """That a prompt which was seen is taken, by ``weight`` or by a function of a user's own, and at least the floor.

    Raises:
        InputError: there is no such function, or it gave no number from 0 to 1; ``where`` stands before it.
    """
    if by == "pass_rate":
        return weight(rate, floor)
    found = scalar(find(by, _BY, "curriculum", where.removesuffix(": "))(rate, seen))
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found <= 1:
        raise InputError(f"{where}{short(by)} gave {str(found)[:60]!r}; a chance is a number from 0 to 1")
    return max(floor, float(found))


@dataclass(slots=True)
class Drawing:
    """One stage's curriculum at work. ``kept`` is the workspace's, and all that it remembers."""

    config: Curriculum
    kept: dict[str, Any]
    seed: int
    stage: str
    say: Callable[[str], None]
    passed: int = 0
    """Prompts passed over since ``metrics`` was last asked."""
    taken: int = 0

    def prompt(self, task: Task, index: int) -> Prompt:
        """Prompt number ``index`` of a task, at its level."""
        if self.config.by == "turn" or not task.levels:
            return task.train(index)
        return task.train_at(index, self._level(task.name)["level"])

    def takes(self, name: str, index: int, prompt: Prompt, in_a_row: int) -> bool:
        """Whether prompt number ``index`` of a task is asked, or passed over.

        Args:
            in_a_row: of the task's, passed over just before.
        """
        if self.config.by == "turn":
            return True
        found = self._rates(name).get(own_cluster(prompt.question, prompt.history))
        likely = 1.0 if found is None else chance(self.config.by, pass_rate(*found), found[1], self.config.floor)
        taken = in_a_row >= PATIENCE or stream(self.seed, f"curriculum/{self.stage}/{name}", index).random() < likely
        self.passed += not taken
        self.taken += taken
        return taken

    def learn(self, groups: Sequence[tuple[Prompt, float, int]], tasks: Mapping[str, Task]) -> None:
        """Take in what came of a step's prompts; groups without an accuracy, which no rule judges, say nothing.

        Args:
            groups: the prompt, the sum of its completions' accuracies, and how many have one.
            tasks: by name.
        """
        if self.config.by == "turn":
            return
        for prompt, right, count in groups:
            if not count:
                continue
            rates, key = self._rates(prompt.task), own_cluster(prompt.question, prompt.history)
            before, seen = rates.pop(key, (0.0, 0.0))
            rates[key] = [self.config.decay * before + right, self.config.decay * seen + count]
            if len(rates) > REMEMBERED:
                del rates[next(iter(rates))]
            if tasks[prompt.task].levels:
                level = self._level(prompt.task)
                level["groups"] += 1
                level["right"] += right / count
        for name, task in tasks.items():
            if task.levels:
                self._climb(name, task.levels)

    def _climb(self, name: str, levels: int) -> None:
        found = self._level(name)
        if found["groups"] < self.config.level_groups:
            return
        rate, before = found["right"] / found["groups"], found["level"]
        step = (rate >= self.config.raise_above) - (rate <= self.config.lower_below)
        level = min(levels - 1, max(0, before + step))
        found.update(level=level, groups=0, right=0.0)
        if level != before:
            self.say(f"{self.stage}: {name} goes from level {before} to level {level} (pass rate {rate:.2f})")

    def metrics(self) -> dict[str, Any]:
        """For the step's line of ``metrics.jsonl``; counted anew from here on."""
        if self.config.by == "turn":
            return {}
        found: dict[str, Any] = {"passed_over_share": self.passed / max(1, self.passed + self.taken)}
        self.passed = self.taken = 0
        if levels := {name: level["level"] for name, level in self._table("levels").items()}:
            found |= {"level": sum(levels.values()) / len(levels), "levels": levels}
        return found

    def _rates(self, name: str) -> dict[str, Any]:
        """Question's digest -> [right, seen], decayed counts of its completions; newest last."""
        return self._table("rates").setdefault(name, {})  # type: ignore[no-any-return]

    def _level(self, name: str) -> dict[str, Any]:
        return self._table("levels").setdefault(name, {"level": 0, "groups": 0, "right": 0.0})  # type: ignore[no-any-return]

    def _table(self, which: str) -> dict[str, Any]:
        return self.kept.setdefault(f"curriculum {which}", {})  # type: ignore[no-any-return]
