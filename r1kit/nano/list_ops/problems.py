"""list_ops' settings, its split by op chain and the drawing of problems.

A chain is the ops of a sentence without their numbers. Held-out chains have as many steps as the longest sentence, so
that none is the beginning of another one, and a problem of another chain that computes the same function as a held-out
problem is not drawn either.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

from r1kit.errors import InputError
from r1kit.nano.list_ops.steps import ALL_OPS, OPS, Step, evaluate
from r1kit.seeds import stream
from r1kit.tasks.split import Part

__all__ = [
    "Chain",
    "ListOpsConfig",
    "Problem",
    "chains",
    "draw_example",
    "draw_problem",
    "draw_step",
    "function",
    "held_chains",
    "held_out_problems",
    "shows",
]

LIMIT = 99
"""Numbers in a worked example stay in 0..99: the words of the nano world."""
EXAMPLE = 3
"""Numbers of a worked example's list."""
HIGHEST = 9
"""The largest of them."""
_EXAMPLES = 12
_TRIES = 4
_PATIENCE = 60
_MOST_DRAWS = 10_000
_PROBES = tuple(tuple(Random(seed).choices(range(10 if seed % 4 else 40), k=9 - seed % 6)) for seed in range(1, 17))
"""Two problems that agree on all of these count as the same function."""

Chain = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOpsConfig:
    """A sentence describes a function over a list; the answer is one line of Python over ``xs``."""

    ops: tuple[str, ...] = ALL_OPS
    """Kinds of steps, out of those of ``steps.py``. A sentence has none of them twice."""
    lengths: tuple[float, ...] = (0.1, 0.3, 0.6)
    """Shares of the sentences with 1, 2, 3 ... steps in training; held-out ones have the most."""
    chinese_share: float = 0.3
    """Share of the prompts that are in Chinese."""
    dev_chains: int = 24
    """Op chains held out for choosing settings."""
    test_chains: int = 80
    """Op chains held out for the reported result."""
    dev_problems: int = 4
    """Problems of each dev chain, with numbers of their own."""
    test_problems: int = 2
    """Problems of each test chain."""
    hidden_tests: int = 12
    """Lists, drawn for each problem and never shown, that its programs are judged on."""
    split_seed: int = 0
    """Decides which chains are held out and which problems of them are asked; the same for every run."""
    seed: int = 0
    """Seed of the training stream."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", tuple(self.ops))
        object.__setattr__(self, "lengths", tuple(self.lengths))
        if len(self.ops) < 4 or len(set(self.ops)) < len(self.ops) or not set(self.ops) <= set(ALL_OPS):
            raise InputError(f"list_ops: ops = {list(self.ops)}; needed are 4 or more of {list(ALL_OPS)}, each once")
        if not 1 <= len(self.lengths) <= 4 or min(self.lengths) < 0 or abs(sum(self.lengths) - 1) > 1e-6:
            raise InputError(f"list_ops: lengths = {list(self.lengths)}; 1 to 4 shares, at least 0, that sum to 1")
        if not self.lengths[-1]:
            raise InputError("list_ops: the last of lengths is 0; leave it out")
        if not 0 <= self.chinese_share <= 1:
            raise InputError(f"list_ops: chinese_share = {self.chinese_share}; allowed is 0..1")
        if min(self.dev_chains, self.test_chains, self.dev_problems, self.test_problems, self.hidden_tests) < 1:
            raise InputError(
                "list_ops: dev_chains, test_chains, dev_problems, test_problems and hidden_tests must be at least 1"
            )


@dataclass(frozen=True, slots=True)
class Problem:
    steps: tuple[Step, ...]
    language: Literal["en", "zh"]
    example: tuple[int, ...]
    """A list on which every step changes something, for working the problem; no part of the question."""

    @property
    def chain(self) -> Chain:
        return tuple(step.op for step in self.steps)


@lru_cache(maxsize=16)
def _ranked(ops: tuple[str, ...], length: int, split_seed: int) -> tuple[Chain, ...]:
    """Every chain of that many different ops that some numbers make sense of, in the order of a hash."""

    def rank(chain: Chain) -> bytes:
        return hashlib.blake2b(f"list_ops/{split_seed}/{' '.join(chain)}".encode(), digest_size=16).digest()

    pool = (chain for chain in itertools.permutations(ops, length) if _sensible(chain))
    return tuple(sorted(pool, key=rank))


def _sensible(chain: Chain) -> bool:
    """At most one step through the numbers one by one; and in a fixed draw every step does something."""
    if sum(OPS[op].each for op in chain) > 1:
        return False
    rng = stream(0, f"list_ops/sensible/{' '.join(chain)}", 0)
    for _ in range(_TRIES):
        steps = _numbered(rng, chain)
        if draw_example(rng, steps) is not None and not _idle(steps):
            return True
    return False


def _idle(steps: tuple[Step, ...]) -> bool:
    """Whether one of the steps could be left out, or reverses what was just sorted."""
    ops = [step.op for step in steps]
    if any(one in ("asc", "desc") and other == "reverse" for one, other in itertools.pairwise(ops)):
        return True
    return any(_same(steps[:place] + steps[place + 1 :], steps) for place in range(len(steps)))


def chains(config: ListOpsConfig, part: Part) -> tuple[Chain, ...]:
    """The longest chains of a part, in hash order: the first ``test_chains`` are test, the next are dev.

    Raises:
        InputError: nothing is left to train on.
    """
    ranked = _ranked(config.ops, len(config.lengths), config.split_seed)
    test, held = config.test_chains, config.test_chains + config.dev_chains
    if held >= len(ranked):
        raise InputError(
            f"list_ops: dev_chains + test_chains = {held} leave none of the {len(ranked)} chains of "
            f"{len(config.lengths)} steps to train on; lower them"
        )
    return {"test": ranked[:test], "dev": ranked[test:held], "train": ranked[held:]}[part]


@lru_cache(maxsize=8)
def held_chains(config: ListOpsConfig) -> frozenset[Chain]:
    return frozenset((*chains(config, "dev"), *chains(config, "test")))


@lru_cache(maxsize=8)
def _training(config: ListOpsConfig) -> tuple[tuple[Chain, ...], ...]:
    """By length, the chains of training problems."""
    shorter = [_ranked(config.ops, length, config.split_seed) for length in range(1, len(config.lengths))]
    return (*shorter, chains(config, "train"))


def draw_step(rng: Random, op: str) -> Step:
    """The op with a number drawn for it."""
    numbers = OPS[op].numbers
    return Step(op, numbers[int(rng.random() * len(numbers))] if numbers else 0)


def _numbered(rng: Random, chain: Chain) -> tuple[Step, ...]:
    return tuple(draw_step(rng, op) for op in chain)


def draw_example(rng: Random, steps: tuple[Step, ...]) -> tuple[int, ...] | None:
    """A list on which every step makes another list, none of them empty or out of range; None if none is found."""
    for _ in range(_EXAMPLES):
        example = rng.sample(range(1, HIGHEST + 1), EXAMPLE)
        values = example
        for step in steps:
            before, values = values, step.run(values)
            if not values or values == before or max(values) > LIMIT:
                break
        else:
            return tuple(example)
    return None


def _drawn(rng: Random, chain: Chain, config: ListOpsConfig) -> Problem | None:
    steps = _numbered(rng, chain)
    language: Literal["en", "zh"] = "zh" if rng.random() < config.chinese_share else "en"
    example = draw_example(rng, steps)
    return None if example is None else Problem(steps, language, example)


_Made = tuple[tuple[int, ...], ...]


def function(steps: tuple[Step, ...]) -> _Made:
    """What the steps make of each probe."""
    return tuple(tuple(evaluate(steps, probe)) for probe in _PROBES)


def _same(one: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    return all(evaluate(one, probe) == evaluate(other, probe) for probe in _PROBES)


@lru_cache(maxsize=16)
def held_out_problems(config: ListOpsConfig, part: Literal["dev", "test"]) -> tuple[Problem, ...]:
    """A part's problems, one of every chain before the second of any, so that a limit keeps clusters."""
    rounds = config.dev_problems if part == "dev" else config.test_problems
    rows: list[list[Problem]] = []
    for chain in chains(config, part):
        rng, row = stream(config.split_seed, f"list_ops/{part}/{' '.join(chain)}", 0), dict[_Made, Problem]()
        for _ in range(_PATIENCE):
            problem = _drawn(rng, chain, config)
            if problem is not None and not _idle(problem.steps):
                row.setdefault(function(problem.steps), problem)
            if len(row) == rounds:
                break
        rows.append(list(row.values()))
    return tuple(row[turn] for turn in range(rounds) for row in rows if turn < len(row))


@lru_cache(maxsize=8)
def _held_functions(config: ListOpsConfig) -> tuple[frozenset[tuple[int, ...]], frozenset[_Made]]:
    """What held-out problems make of the first probe, and of them all."""
    held = (*held_out_problems(config, "dev"), *held_out_problems(config, "test"))
    functions = frozenset(function(problem.steps) for problem in held)
    return frozenset(made[0] for made in functions), functions


def shows(config: ListOpsConfig, steps: tuple[Step, ...]) -> bool:
    """Whether training and corpora may show these steps one after the other: they are no held-out chain, and neither
    they nor their beginnings are the function of a held-out problem."""
    if tuple(step.op for step in steps) in held_chains(config):
        return False
    first, functions = _held_functions(config)
    made = list(_PROBES[0])
    for place, step in enumerate(steps, start=1):
        made = step.run(made)
        if tuple(made) in first and function(steps[:place]) in functions:
            return False
    return True


def draw_problem(rng: Random, config: ListOpsConfig) -> Problem:
    """A training problem: a length by its share, any chain of that length, numbers that make sense of it."""
    draw = rng.random()
    length = 0
    while length < len(config.lengths) - 1 and draw >= config.lengths[length]:
        draw -= config.lengths[length]
        length += 1
    pool = _training(config)[length]
    for _ in range(_MOST_DRAWS):
        problem = _drawn(rng, pool[int(rng.random() * len(pool))], config)
        if problem is not None and shows(config, problem.steps):
            return problem
    raise InputError(f"list_ops: {_MOST_DRAWS} draws met no training problem; lower dev_chains or test_chains")
