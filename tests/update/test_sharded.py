"""The sharded learner on 1, 2 and 4 gloo ranks finds what the local learner finds alone: loss, gradient norm, log-probs
and weights after three steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist

from r1kit.cluster.ranks import Solo
from r1kit.cluster.settings import FSDP
from r1kit.errors import InputError
from r1kit.recipe import load_recipe

from .ranked_sharded import BY_SIZE, compare

Run = Callable[..., list[Any]]
TWO = "update.ranked_sharded:everything"


@pytest.fixture(scope="module")
def two(on_ranks_once: Run) -> list[dict[str, Any]]:
    return on_ranks_once(2, TWO)


@pytest.fixture(scope="module")
def one() -> dict[str, tuple[Any, Any]]:
    found = compare(Solo())
    dist.destroy_process_group()
    return found


@pytest.fixture(scope="module")
def four(on_ranks_once: Run) -> list[dict[str, tuple[Any, Any]]]:
    return on_ranks_once(4, "update.ranked_sharded:compare")


@pytest.mark.parametrize("case", BY_SIZE[1])
def test_one_rank_equals_the_local_learner(one: dict[str, tuple[Any, Any]], case: str) -> None:
    agree([one[case]], case)


@pytest.mark.parametrize("case", BY_SIZE[2])
def test_two_ranks_equal_the_local_learner_alone(two: list[dict[str, Any]], case: str) -> None:
    agree([rank["cases"][case] for rank in two], case)


@pytest.mark.slow
@pytest.mark.parametrize("case", BY_SIZE[4])
def test_four_ranks_equal_the_local_learner_alone(four: list[dict[str, tuple[Any, Any]]], case: str) -> None:
    agree([rank[case] for rank in four], case)


def agree(ranks: list[tuple[Any, Any]], case: str) -> None:
    metrics, logprobs, weights = ranks[0][0]
    rounded = "bfloat16" in case
    near = 0.02 if rounded else 3e-5 if "muon" in case else 1e-5  # Muon makes small directions of a gradient large
    for _, (own_metrics, own_logprobs, own_weights) in ranks:
        assert own_metrics == ranks[0][1][0], "metrics are equal on every rank"
        for own, expected in zip(own_metrics, metrics, strict=True):
            assert own == pytest.approx(expected, rel=0.2 if rounded else 1e-4, abs=1e-5)
            assert own["loss"] == pytest.approx(expected["loss"], rel=near)
            assert own["grad_norm"] == pytest.approx(expected["grad_norm"], rel=0.05 if rounded else near)
        torch.testing.assert_close(own_logprobs, logprobs, rtol=0, atol=0.5 if rounded else 1e-4)
        assert set(own_weights) == set(weights)
        for name, weight in weights.items():
            close = 0.03 if rounded else 5e-5
            torch.testing.assert_close(own_weights[name], weight, rtol=0, atol=close, msg=lambda m, n=name: f"{n}: {m}")


def test_a_gradient_that_is_not_finite_on_one_rank_is_refused_on_all(two: list[dict[str, Any]]) -> None:
    line = "the gradient is not finite; lower the learning rate or the clip range"
    assert [rank["refused"] for rank in two] == [(line, True)] * 2


def test_what_is_gathered_does_not_grow_with_the_completions(two: list[dict[str, Any]]) -> None:
    for rank in two:
        assert len(rank["few"]) == len(rank["many"]) > 0
        assert max(rank["many"]) < 1000
        assert max(rank["many"]) - max(rank["few"]) < 20  # numbers of more digits


def test_some_ranks_wait_as_long_as_all(two: list[dict[str, Any]]) -> None:
    limits = "0:00:01.200000 0:00:01.200000"
    assert [rank["impatient"] for rank in two] == [f"{limits}: lost", limits]


def test_copies_that_the_ranks_do_not_divide_into_are_refused_before_anything_loads() -> None:
    with pytest.raises(InputError, match=r"learner.replicate = 3 does not divide the 4 ranks"):
        load_recipe("nano-zero", ["ranks=4", 'learner={kind="fsdp", replicate=3}'])
    with pytest.raises(InputError, match=r"learner.sequence = 0: must be at least 1"):
        FSDP(sequence=0).check(0)
