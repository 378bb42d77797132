"""What a form may ask of two numbers, its schema, and the drawing of problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from r1kit.errors import InputError
from r1kit.tasks.split import Part, check_shares, part_of

__all__ = [
    "KEYS",
    "FormsConfig",
    "Problem",
    "answer_of",
    "cluster_of",
    "draw_problem",
    "pairs",
    "question",
    "schema_of",
]

KEYS: Mapping[str, Callable[[int, int], Any]] = {
    "sum": lambda one, other: one + other,
    "product": lambda one, other: one * other,
    "larger": lambda one, other: max(one, other),
    "even": lambda one, other: (one + other) % 2 == 0,
    "order": lambda one, other: "rising" if one < other else "falling" if one > other else "level",
}
"""What may be asked -> its value."""
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "sum": {"type": "integer", "minimum": 0},
    "product": {"type": "integer", "minimum": 0},
    "larger": {"type": "integer", "minimum": 0},
    "even": {"type": "boolean"},
    "order": {"enum": ["rising", "falling", "level"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormsConfig:
    highest: int = 9
    """Numbers are drawn from 1 to it."""
    most: int = 3
    """Things that a form asks for at most, out of five."""
    dev_share: float = 0.15
    """Share of the pairs of numbers, by hash, held out for choosing settings."""
    test_share: float = 0.3
    """Share of the pairs, by hash, held out for the reported result."""
    split_seed: int = 0
    """Decides the parts; the same for every run."""
    seed: int = 0
    """Seed of the training stream."""

    def __post_init__(self) -> None:
        if not 2 <= self.highest <= 20 or not 1 <= self.most <= len(KEYS):
            raise InputError(
                f"forms: highest = {self.highest} and most = {self.most}; allowed are 2..20 and 1..{len(KEYS)}"
            )
        check_shares("forms", self.dev_share, self.test_share)


@dataclass(frozen=True, slots=True)
class Problem:
    numbers: tuple[int, int]
    keys: tuple[str, ...]
    """What is asked, in order."""


def question(problem: Problem) -> str:
    """``fill sum even of 7 5``."""
    one, other = problem.numbers
    return f"fill {' '.join(problem.keys)} of {one} {other}"


def answer_of(problem: Problem) -> dict[str, Any]:
    return {key: KEYS[key](*problem.numbers) for key in problem.keys}


def schema_of(keys: tuple[str, ...]) -> dict[str, Any]:
    """All that is asked must be there, of its type, and nothing else."""
    return {
        "type": "object",
        "properties": {key: _SCHEMAS[key] for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }


def cluster_of(numbers: tuple[int, int]) -> str:
    """The pair, whichever stands first."""
    return " ".join(map(str, sorted(numbers)))


def pairs(config: FormsConfig, part: Part) -> list[tuple[int, int]]:
    """Of a part, in order.

    Raises:
        InputError: there are none.
    """
    numbers = range(1, config.highest + 1)
    found = [
        (one, other)
        for one in numbers
        for other in numbers
        if part_of(cluster_of((one, other)), config.dev_share, config.test_share, config.split_seed) == part
    ]
    if not found:
        raise InputError(f"forms: no pair of numbers falls into {part}; raise highest, or change the shares")
    return found


def draw_problem(rng: Random, config: FormsConfig, among: list[tuple[int, int]]) -> Problem:
    """One to ``most`` things, in any order, of one of these pairs."""
    count = 1 + int(rng.random() * config.most)
    return Problem(among[int(rng.random() * len(among))], tuple(rng.sample(list(KEYS), count)))
