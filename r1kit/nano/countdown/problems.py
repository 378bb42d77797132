"""Countdown's settings, its split by number multiset and the drawing of problems."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

from r1kit.answers.expression import Tree
from r1kit.errors import InputError
from r1kit.nano.countdown.rules import OPS, Rules, solutions
from r1kit.nano.styles import pick
from r1kit.nano.words import spelled
from r1kit.seeds import stream
from r1kit.tasks.split import Part

__all__ = [
    "CountdownConfig",
    "Problem",
    "Spoken",
    "draw_problem",
    "draw_wide_problem",
    "multisets",
    "targets",
    "trains_on",
]

Spoken = Literal["en", "zh", "ko"]

_MOST_ORDERED = 200_000
_MOST_DRAWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountdownConfig:
    """Reach a target from a few numbers."""

    numbers: int = 3
    """How many numbers a problem gives."""
    most: int = 0
    """Problems give ``numbers`` to ``most`` of them, each count equally often; 0: always ``numbers``."""
    lowest: int = 1
    """Numbers are drawn from lowest..highest, with repeats."""
    highest: int = 12
    above: int = 0
    """At least one number of a problem is above it: a harder task beside one whose highest it is."""
    ops: tuple[str, ...] = OPS[:3]
    """Operators an answer may use, out of ``+``, ``-`` and ``*``; ``divide`` adds ``/``."""
    divide: Literal["none", "exact", "fractions"] = "none"
    """Whether ``/`` may be used: ``exact``: where it comes out even, on the way too; ``fractions``: anywhere."""
    use_all: bool = True
    """Whether an answer must use every number; otherwise it may leave some over. It uses none twice in any case."""
    targets: tuple[int, int] = (0, 99)
    """Lowest and highest target."""
    limit: int = 99
    """Every problem has a solution whose results, the intermediate ones included, lie in 0..limit. Answers may leave
    it."""
    question: str = ""
    """A prompt's text, in English, with ``{numbers}`` (``44, 19, 35``) and ``{target}``; empty: the nano world's ``use
    7 1 5 make 34``."""
    chinese_share: float = 0.3
    """Share of the nano world's prompts that are in Chinese."""
    korean_share: float = 0.0
    """Share that is in Korean: a language outside the two, which a base knows only if its corpus has a share too."""
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
        object.__setattr__(self, "targets", tuple(self.targets))
        for wrong, told in self._wrong():
            if wrong:
                raise InputError(f"countdown: {told}")

    def _wrong(self) -> Iterator[tuple[bool, str]]:
        """What is wrong, in the order in which it is looked at, as (whether it is, what to say)."""
        yield not 2 <= self.numbers <= 6, f"numbers = {self.numbers}; allowed is 2..6"
        yield (
            self.most != 0 and not self.numbers <= self.most <= 6,
            f"most = {self.most}; allowed is 0 or numbers..6, and numbers is {self.numbers}",
        )
        yield (
            not 1 <= self.highest <= self.limit,
            f"highest = {self.highest}; allowed is 1..limit, and limit is {self.limit}",
        )
        yield not 1 <= self.lowest <= self.highest, f"lowest = {self.lowest}; allowed is 1..highest = {self.highest}"
        yield (
            not 0 <= self.above < self.highest,
            f"above = {self.above}; allowed is 0..highest - 1 = {self.highest - 1}",
        )
        yield (
            not self.ops or len(set(self.ops)) < len(self.ops) or not set(self.ops) <= set(OPS[:3]),
            f'ops = {list(self.ops)}; allowed are {list(OPS[:3])}, each once; divide = "exact" adds /',
        )
        yield (
            len(self.targets) != 2 or not 0 <= self.targets[0] <= self.targets[1] <= self.limit,
            f"targets = {list(self.targets)}; needed are the lowest and the highest, within 0..limit = {self.limit}",
        )
        yield (
            bool(self.question) and not all(key in self.question for key in ("{numbers}", "{target}")),
            f"question = {self.question!r}; it must hold {{numbers}} and {{target}}",
        )
        yield not 0 <= self.chinese_share <= 1, f"chinese_share = {self.chinese_share}; allowed is 0..1"
        yield (
            not 0 <= self.korean_share <= 1 - self.chinese_share,
            f"korean_share = {self.korean_share}; allowed is 0..1 - chinese_share = {1 - self.chinese_share:g}",
        )
        yield (
            min(self.dev_multisets, self.test_multisets, self.dev_targets, self.test_targets) < 1,
            "dev_multisets, test_multisets, dev_targets and test_targets must be at least 1",
        )
        total = sum(self._count(numbers) for numbers in self.counts)
        yield (
            self.dev_multisets + self.test_multisets >= total,
            f"dev_multisets + test_multisets = {self.dev_multisets + self.test_multisets} leave none of the {total} "
            f"multisets of {self.numbers} numbers of {self.lowest}..{self.highest} to train on",
        )

    def _count(self, numbers: int) -> int:
        """Multisets of so many numbers with one above ``above``."""
        low = max(0, self.above - self.lowest + 1)
        every = math.comb(self.highest - self.lowest + numbers, numbers)
        return every - (math.comb(low + numbers - 1, numbers) if low else 0)

    @property
    def counts(self) -> range:
        """How many numbers a problem may give."""
        return range(self.numbers, max(self.numbers, self.most) + 1)

    @property
    def few(self) -> bool:
        """Whether all multisets can be put into an order."""
        return sum(self._count(numbers) for numbers in self.counts) <= _MOST_ORDERED

    @property
    def rules(self) -> Rules:
        ops = self.ops if self.divide == "none" else (*self.ops, "/")
        return Rules(ops=ops, even=self.divide != "fractions", use_all=self.use_all, limit=self.limit)


@dataclass(frozen=True, slots=True)
class Problem:
    numbers: tuple[int, ...]
    """In the order of the prompt."""
    target: int
    language: Spoken


@lru_cache(maxsize=8)
def _ranked(config: CountdownConfig) -> tuple[tuple[int, ...], ...]:
    """Every multiset of the numbers, ascending inside, in the order of a hash; where there are too many, as many drawn
    ones as are held out."""
    if not config.few:
        rng, drawn = stream(config.split_seed, "countdown/held out", 0), dict[tuple[int, ...], None]()
        while len(drawn) < config.dev_multisets + config.test_multisets:
            if config.above < max(numbers := _numbers(rng, config)):
                drawn[tuple(sorted(numbers))] = None
        return tuple(drawn)
    pool = (
        multiset
        for count in config.counts
        for multiset in itertools.combinations_with_replacement(range(config.lowest, config.highest + 1), count)
        if multiset[-1] > config.above
    )

    def rank(multiset: tuple[int, ...]) -> bytes:
        text = f"countdown/{config.split_seed}/{' '.join(map(str, multiset))}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()

    return tuple(sorted(pool, key=rank))


def _numbers(rng: Random, config: CountdownConfig, highest: int = 0) -> tuple[int, ...]:
    span = (highest or config.highest) - config.lowest + 1
    count = config.numbers if len(config.counts) == 1 else pick(rng, config.counts)
    return tuple([config.lowest + int(rng.random() * span) for _ in range(count)])


@lru_cache(maxsize=16)
def multisets(config: CountdownConfig, part: Part) -> tuple[tuple[int, ...], ...]:
    """The number multisets of a part, in hash order: the first ``test_multisets`` are test, the next are dev. Those to
    train on only where all can be listed; ``trains_on`` tells them in any case."""
    ranked = _ranked(config)
    test, held = config.test_multisets, config.test_multisets + config.dev_multisets
    return {"test": ranked[:test], "dev": ranked[test:held], "train": ranked[held:]}[part]


@lru_cache(maxsize=8)
def _held_out(config: CountdownConfig) -> frozenset[tuple[int, ...]]:
    return frozenset((*multisets(config, "test"), *multisets(config, "dev")))


def trains_on(config: CountdownConfig, multiset: tuple[int, ...]) -> bool:
    """Whether training problems have these numbers, given in ascending order."""
    within = config.lowest <= multiset[0] and config.above < multiset[-1] <= config.highest
    return (
        within
        and len(multiset) in config.counts
        and multiset not in _held_out(config)
        and bool(targets(config, multiset))
    )


@lru_cache(maxsize=4096)
def targets(config: CountdownConfig, multiset: tuple[int, ...]) -> Mapping[int, Tree]:
    """Target -> a solution, of what may be asked of these numbers, given in ascending order; the targets ascending."""
    low, high = config.targets
    return {value: tree for value, tree in solutions(multiset, config.rules).items() if low <= value <= high}


def draw_language(rng: Random, config: CountdownConfig) -> Spoken:
    if config.question:
        return "en"
    draw = rng.random()
    return "zh" if draw < config.chinese_share else "ko" if draw < config.chinese_share + config.korean_share else "en"


def draw_problem(rng: Random, config: CountdownConfig) -> Problem:
    """A training problem: numbers drawn one by one (held-out multisets drawn again), any target they can make."""
    for _ in range(_MOST_DRAWS):
        numbers = _numbers(rng, config)
        if trains_on(config, multiset := tuple(sorted(numbers))):
            return Problem(numbers, pick(rng, list(targets(config, multiset))), draw_language(rng, config))
    raise InputError(
        f"countdown: {_MOST_DRAWS} draws met no training multiset that makes a target; lower dev_multisets or "
        "test_multisets, or widen targets"
    )


def draw_wide_problem(rng: Random, config: CountdownConfig, wide: CountdownConfig | None = None) -> Problem:
    """A problem with numbers up to twice the task's highest, at least one above it, for a corpus only: of no split, or
    one that ``wide`` trains on."""
    for _ in range(_MOST_DRAWS):
        numbers = _numbers(rng, config, 2 * config.highest)
        multiset = tuple(sorted(numbers))
        values = list(targets(config, multiset)) if multiset[-1] > config.highest else []
        if values and (wide is None or trains_on(wide, multiset)):
            return Problem(numbers, pick(rng, values), draw_language(rng, config))
    raise InputError(f"countdown: {_MOST_DRAWS} draws met no wide problem that has a value within limit; raise limit")


def question(problem: Problem, template: str = "") -> str:
    """``use 7 1 5 make 34``, or the same in the problem's language; else the template's text."""
    if template:
        numbers = ", ".join(map(str, problem.numbers))
        return template.replace("{numbers}", numbers).replace("{target}", str(problem.target))
    use, make = spelled("use", problem.language), spelled("make", problem.language)
    return f"{use} {' '.join(map(str, problem.numbers))} {make} {problem.target}"
