"""TOML tables to dataclasses: what a partial table keeps, what is refused and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from r1kit.errors import InputError
from r1kit.structure import plain, structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    kind: str = "plain"
    rate: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    count: int
    mode: Literal["fast", "slow"] = "fast"
    pair: tuple[float, float] = (0.9, 0.95)
    words: tuple[str, ...] = ()
    limit: int | None = None
    inner: Inner = field(default_factory=lambda: Inner(kind="special", rate=0.5))


def test_a_partial_table_keeps_the_default_of_its_place_not_of_its_class() -> None:
    built = structure(Outer, {"count": 3, "inner": {"rate": 2}}, "outer")
    assert built.inner == Inner(kind="special", rate=2.0)
    assert isinstance(built.inner.rate, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"coun": 1}, "outer: unknown key 'coun'; known keys are count, mode, pair, words, limit, inner. Did you mean"),
        ({}, "outer: count must be set"),
        ({"count": "3"}, "outer.count = '3': expected a whole number"),
        ({"count": True}, "outer.count = True: expected a whole number"),
        ({"count": 1, "mode": "slw"}, "outer.mode = 'slw': allowed are 'fast', 'slow'. Did you mean 'slow'?"),
        ({"count": 1, "pair": [0.9]}, "outer.pair = [0.9]: expected a list of 2, each a number"),
        ({"count": 1, "pair": 0.9}, "outer.pair = 0.9: expected a list, each a number"),
        ({"count": 1, "words": [1]}, "outer.words[0] = 1: expected a string"),
        ({"count": 1, "words": "ab"}, "outer.words = 'ab': expected a list, each a string"),
        ({"count": 1, "limit": "x"}, "outer.limit = 'x': expected a whole number"),
        ({"count": 1, "inner": {"rat": 1}}, "outer.inner: unknown key 'rat'; known keys are kind, rate. Did you mean"),
        ({"count": 1, "inner": 4}, "outer.inner = 4: expected a table"),
    ],
)
def test_structure_says_where_what_and_the_nearest(table: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        structure(Outer, table, "outer")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_values_of_every_kind() -> None:
    built = structure(Outer, {"count": 1, "pair": [1, 2], "words": ["a"], "limit": 7, "mode": "slow"}, "outer")
    assert built == Outer(count=1, pair=(1.0, 2.0), words=("a",), limit=7, mode="slow")


def test_plain_values_have_no_tuple_and_no_none() -> None:
    assert plain(Outer(count=1)) == {
        "count": 1,
        "mode": "fast",
        "pair": [0.9, 0.95],
        "words": [],
        "inner": {"kind": "special", "rate": 0.5},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    rise: float = 0.1

    def __post_init__(self) -> None:
        if self.rise < 0:
            raise InputError(f"watch.rise = {self.rise} must be at least 0")
        if self.rise > 1:
            raise InputError(f"a rise of {self.rise} never comes")


@pytest.mark.parametrize(
    ("where", "rise", "said"),
    [
        ("stages.rl.watch", -1, "stages.rl.watch.rise = -1.0 must be at least 0"),
        ("watch", -1, "watch.rise = -1.0 must be at least 0"),
        ("stages.rl.watch", 2, "stages.rl.watch: a rise of 2.0 never comes"),
        ("", 2, "a rise of 2.0 never comes"),
    ],
)
def test_what_a_class_refuses_names_the_table_that_it_stands_in(where: str, rise: float, said: str) -> None:
    with pytest.raises(InputError) as caught:
        structure(Watch, {"rise": rise}, where)
    assert str(caught.value) == said


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    modes: tuple[Literal["fast", "slow"], ...] = ()


def test_a_list_of_names_says_which_there_are() -> None:
    with pytest.raises(InputError, match="modes = 'fast': expected a list, each one of 'fast', 'slow'"):
        structure(Chosen, {"modes": "fast"}, "outer")
