"""Countdown's settings, its split by number multiset and the drawing of problems."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

from r1kit.errors import InputError
from r1kit.nano.countdown.rules import OPS, Rules, targets
from r1kit.tasks.split import Part

__all__ = [
    "CountdownConfig",
    "Problem",
    "draw_problem",
    "draw_wide_problem",
    "multisets",
    "trains_on",
]

_MOST_MULTISETS = 200_000
_MOST_DRAWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountdownConfig:
    """Reach a target from a few numbers."""

    numbers: int = 3
    """How many numbers a problem gives."""
    highest: int = 12
    """Numbers are drawn from 1..highest, with repeats."""
    above: int = 0
    """At least one number of a problem is above it: a harder task beside one whose highest it is."""
    ops: tuple[str, ...] = OPS
    """Operators an answer may use, out of ``+``, ``-`` and ``*``."""
    limit: int = 99
    """Every result, the intermediate ones included, lies in 0..limit."""
    chinese_share: float = 0.3
    """Share of the prompts that are in Chinese."""
    dev_multisets: int = 24
    """Number multisets held out for choosing settings."""
    test_multisets: int = 79
    """Number multisets held out for the reported result; with 3 numbers of 1..12 the other 261 train."""
    dev_targets: int = 4
    """Problems of each dev multiset (fewer where it can make fewer values)."""
    test_targets: int = 2
    """Problems of each test multiset."""
    split_seed: int = 0
    """Decides which multisets are held out and which problems of them are asked; the same for every run."""
    seed: int = 0
    """Seed of the training stream."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", tuple(self.ops))
        if not 2 <= self.numbers <= 6:
            raise InputError(f"countdown: numbers = {self.numbers}; allowed is 2..6")
        if not 1 <= self.highest <= self.limit:
            raise InputError(f"countdown: highest = {self.highest}; allowed is 1..limit, and limit is {self.limit}")
        if not 0 <= self.above < self.highest:
            raise InputError(f"countdown: above = {self.above}; allowed is 0..highest - 1 = {self.highest - 1}")
        if not self.ops or len(set(self.ops)) < len(self.ops) or not set(self.ops) <= set(OPS):
            raise InputError(f"countdown: ops = {list(self.ops)}; allowed are {list(OPS)}, each once")
        if not 0 <= self.chinese_share <= 1:
            raise InputError(f"countdown: chinese_share = {self.chinese_share}; allowed is 0..1")
        if min(self.dev_multisets, self.test_multisets, self.dev_targets, self.test_targets) < 1:
            raise InputError(
                "countdown: dev_multisets, test_multisets, dev_targets and test_targets must be at least 1"
            )
        total = math.comb(self.highest + self.numbers - 1, self.numbers)
        total -= math.comb(self.above + self.numbers - 1, self.numbers) if self.above else 0
        if total > _MOST_MULTISETS:
            raise InputError(
                f"countdown: {self.numbers} numbers of 1..{self.highest} are {total} multisets; "
                f"at most {_MOST_MULTISETS} are allowed: lower numbers or highest"
            )
        if self.dev_multisets + self.test_multisets >= total:
            raise InputError(
                f"countdown: dev_multisets + test_multisets = {self.dev_multisets + self.test_multisets} leave none of "
                f"the {total} multisets of {self.numbers} numbers of 1..{self.highest} to train on"
            )

    @property
    def rules(self) -> Rules:
        return Rules(ops=self.ops, limit=self.limit)


@dataclass(frozen=True, slots=True)
class Problem:
    numbers: tuple[int, ...]
    """In the order of the prompt."""
    target: int
    language: Literal["en", "zh"]


@lru_cache(maxsize=8)
def _ranked(numbers: int, highest: int, above: int, split_seed: int) -> tuple[tuple[int, ...], ...]:
    """Every multiset of the numbers, ascending inside, in the order of a hash."""
    pool = (
        multiset
        for multiset in itertools.combinations_with_replacement(range(1, highest + 1), numbers)
        if multiset[-1] > above
    )

    def rank(multiset: tuple[int, ...]) -> bytes:
        text = f"countdown/{split_seed}/{' '.join(map(str, multiset))}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()

    return tuple(sorted(pool, key=rank))


def multisets(config: CountdownConfig, part: Part) -> tuple[tuple[int, ...], ...]:
    """The number multisets of a part, in hash order: the first ``test_multisets`` are test, the next are dev."""
    ranked = _ranked(config.numbers, config.highest, config.above, config.split_seed)
    test, held = config.test_multisets, config.test_multisets + config.dev_multisets
    return {"test": ranked[:test], "dev": ranked[test:held], "train": ranked[held:]}[part]


@lru_cache(maxsize=8)
def _training(config: CountdownConfig) -> frozenset[tuple[int, ...]]:
    return frozenset(multisets(config, "train"))


def trains_on(config: CountdownConfig, multiset: tuple[int, ...]) -> bool:
    """Whether training problems have these numbers, given in ascending order."""
    return multiset in _training(config) and bool(targets(multiset, config.rules))


def draw_language(rng: Random, config: CountdownConfig) -> Literal["en", "zh"]:
    return "zh" if rng.random() < config.chinese_share else "en"


def draw_problem(rng: Random, config: CountdownConfig) -> Problem:
    """A training problem: numbers drawn one by one (held-out multisets drawn again), any value they can make."""
    allowed, highest, rules = _training(config), config.highest, config.rules
    for _ in range(_MOST_DRAWS):
        numbers = tuple([1 + int(rng.random() * highest) for _ in range(config.numbers)])
        multiset = tuple(sorted(numbers))
        if multiset in allowed and (values := targets(multiset, rules)):
            return Problem(numbers, values[int(rng.random() * len(values))], draw_language(rng, config))
    raise InputError(f"countdown: {_MOST_DRAWS} draws met no training multiset; lower dev_multisets or test_multisets")


def draw_wide_problem(rng: Random, config: CountdownConfig, wide: CountdownConfig | None = None) -> Problem:
    """A problem with numbers up to twice the task's highest, at least one above it, for a corpus only: of no split, or
    one that ``wide`` trains on."""
    for _ in range(_MOST_DRAWS):
        numbers = tuple([1 + int(rng.random() * 2 * config.highest) for _ in range(config.numbers)])
        multiset = tuple(sorted(numbers))
        values = targets(multiset, config.rules) if multiset[-1] > config.highest else ()
        if values and (wide is None or trains_on(wide, multiset)):
            return Problem(numbers, values[int(rng.random() * len(values))], draw_language(rng, config))
    raise InputError(f"countdown: {_MOST_DRAWS} draws met no wide problem that has a value within limit; raise limit")


def question(numbers: tuple[int, ...], target: int, language: str) -> str:
    """``use 7 1 5 make 34``, or ``用 7 1 5 得 34`` where the language is ``zh``."""
    use, make = ("用", "得") if language == "zh" else ("use", "make")
    return f"{use} {' '.join(map(str, numbers))} {make} {target}"
