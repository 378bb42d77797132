"""How one problem is worked: first pairs, the last steps on each that are worth trying, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from r1kit.answers.expression import Step, written
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import Problem
from r1kit.nano.countdown.rules import Rules, combine
from r1kit.nano.styles import pick
from r1kit.nano.words import spelled

__all__ = ["SLIPS", "Trace"]

SLIPS = (-2, -1, 1, 2, 10, -10)
"""How far a wrong result is from the right one."""
_TURNS = (("wait",), ("wait",), ("hmm", "wait"), ("no", "wait"))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A first step: two of the three numbers, the larger first."""

    left: int
    op: str
    right: int
    rest: int
    """The third number."""


@lru_cache(maxsize=16384)
def _first_pairs(numbers: tuple[int, ...], rules: Rules) -> tuple[_Pair, ...]:
    """First steps in systematic order, each once, without those that leave the range. At most 9."""
    found: dict[_Pair, None] = {}
    for one, two in ((0, 1), (0, 2), (1, 2)):
        left, right = max(numbers[one], numbers[two]), min(numbers[one], numbers[two])
        for op in rules.ops:
            if combine(left, op, right, rules) is not None:
                found[_Pair(left, op, right, numbers[3 - one - two])] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Last:
    """A last step: a pair's value and the third number."""

    op: str
    rest_first: bool = False
    """The third number minus the value, for a product: ``12 - 2 * 3``. Else another pair makes the same."""

    def sides(self, value: int, rest: int) -> tuple[int, int]:
        return (rest, value) if self.rest_first else (value, rest)


_FROM_REST = _Last("-", rest_first=True)


def _last_steps(pair: _Pair, value: int, rules: Rules, target: int | None = None) -> list[_Last]:
    """Last steps within the range on a first pair's value: all, or those worth trying for a target, in order.

    Below the value only ``-`` leads; above it ``+``, and ``*`` where ``+`` falls short. On the value itself the rest
    must change nothing. The rest minus a product comes last, below the rest. No solution within 0..limit is missed.
    """
    rest = pair.rest
    if target is None:
        ops = list(rules.ops)
    elif target < value:
        ops = ["-"]
    elif target == value:
        ops = ["*"] if rest == 1 or value == 0 else ["-"]
    elif (value + rest < target and value > 1 and rest > 1) or (value + rest > target and value == 1):
        ops = ["+", "*"]
    else:
        ops = ["+"]
    steps = [_Last(op) for op in ops]
    if pair.op == "*" and (target is None or target < rest):
        steps.append(_FROM_REST)
    allowed = []
    for step in steps:
        left, right = step.sides(value, rest)
        if step.op in rules.ops and combine(left, step.op, right, rules) is not None:
            allowed.append(step)
    return allowed


def _expression(pair: _Pair, last: _Last) -> str:
    """``( 11 - 8 ) * 3``, ``12 - 2 * 3``."""
    made = Step(pair.op, pair.left, pair.right)
    return written(Step(last.op, pair.rest, made) if last.rest_first else Step(last.op, made, pair.rest))


class Trace:
    """Writes the working of one document."""

    def __init__(self, rng: Random, problem: Problem, kind: int, slip: float, config: CountdownCorpusConfig) -> None:
        """``kind``: control words in the prompt's language (0), in the other (1), mixed (2). The other one is
        English, and Chinese for a problem in English."""
        self.rng, self.problem, self.slip, self.config = rng, problem, slip, config
        self.rules = config.problems.rules
        own, other = problem.language, "zh" if problem.language == "en" else "en"
        self.mixed, self.spoken = kind == 2, own if kind == 0 else other
        self.foreign = other if own == "en" else own
        """Of two that are mixed, the one that is not English."""
        self.words: list[str] = []
        self.answer: str | None = None
        """The expression that the working ended on."""

    def say(self, word: str) -> None:
        if self.mixed:
            self.spoken = self.foreign if self.rng.random() < 0.5 else "en"
        self.words.append(spelled(word, self.spoken))

    def step(self, left: int, op: str, right: int, slip: float) -> int:
        """Write one step; its result as written."""
        result = combine(left, op, right, self.rules)
        assert isinstance(result, int)
        if slip and self.rng.random() < slip:
            result = max(0, min(self.rules.limit, result + pick(self.rng, SLIPS)))
        self.words.append(f"{left} {op} {right} = {result}")
        return result

    def work(self, style: str) -> None:
        """Try the style's first pairs until one hits."""
        ended = True
        for place, pair in enumerate(self.order(style)):
            for word in ("try",) if place == 0 else pick(self.rng, _TURNS) if ended else _TURNS[-1]:
                self.say(word)
            before = self.answer
            self.answer = None
            if self.branch(pair, guess=style == "short" and self.rng.random() < 0.5):
                return
            ended = self.answer is not None
            self.answer = self.answer or before
        if self.rng.random() < 0.5:
            self.say("so")

    def order(self, style: str) -> Sequence[_Pair]:
        pairs = _first_pairs(self.problem.numbers, self.rules)
        if style == "short":
            return (pick(self.rng, pairs),)
        if self.rng.random() >= self.config.systematic_share:
            pairs = tuple(self.rng.sample(pairs, len(pairs)))
        elif self.rng.random() < self.config.rotated_share:
            first = int(self.rng.random() * len(pairs))
            pairs = pairs[first:] + pairs[:first]
        return pairs if style == "long" else pairs[: 2 + int(self.rng.random() * 2)]

    def branch(self, pair: _Pair, guess: bool) -> bool:
        """One first pair and the last steps on it; whether one hit. A guess is any one last step within the range."""
        value = self.step(pair.left, pair.op, pair.right, self.slip)
        steps = _last_steps(pair, value, self.rules, None if guess else self.problem.target)
        if guess and steps:
            steps = [pick(self.rng, steps)]
        for turn, last in enumerate(steps):
            if not turn:
                self.words.append(",")
            if self.leaf(pair, value, last):
                return True
        return False

    def leaf(self, pair: _Pair, value: int, last: _Last) -> bool:
        target, (left, right) = self.problem.target, last.sides(value, pair.rest)
        result = self.step(left, last.op, right, self.slip)
        self.answer = _expression(pair, last)
        if result != target:
            self.say("low" if result < target else "high")
            return False
        self.say("yes")
        return self.rng.random() >= self.config.check_share or self.recheck(pair, last)

    def recheck(self, pair: _Pair, last: _Last) -> bool:
        """Compute a hit again, with a third of the slips; whether it is one still."""
        self.say("check")
        value = self.step(pair.left, pair.op, pair.right, self.slip / 3)
        left, right = last.sides(value, pair.rest)
        result = None
        if combine(left, last.op, right, self.rules) is not None:
            self.words.append(",")
            result = self.step(left, last.op, right, self.slip / 3)
        self.say("yes" if result == self.problem.target else "no")
        return result == self.problem.target

    def guessed(self) -> str:
        """Any first pair and any last step on it."""
        while True:
            pair = pick(self.rng, _first_pairs(self.problem.numbers, self.rules))
            value = combine(pair.left, pair.op, pair.right, self.rules)
            assert isinstance(value, int)
            if steps := _last_steps(pair, value, self.rules):
                return _expression(pair, pick(self.rng, steps))
