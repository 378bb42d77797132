"""The sharded learner on 1, 2 and 4 gloo ranks finds what the local learner finds alone: loss, gradient norm, log-probs
and weights after three steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from .ranked_sharded import BY_SIZE

Found = dict[int, list[dict[str, tuple[Any, Any]]]]


@pytest.fixture(scope="module")
def found(on_ranks_once: Callable[..., list[Any]]) -> Found:
    return {size: on_ranks_once(size, "update.ranked_sharded:compare") for size in BY_SIZE}


@pytest.mark.parametrize(("size", "case"), [(size, case) for size, cases in BY_SIZE.items() for case in cases])
def test_it_equals_the_local_learner(found: Found, size: int, case: str) -> None:
    (metrics, logprobs, weights), _ = found[size][0][case]
    rounded = case == "bfloat16"
    for rank in found[size]:
        own_metrics, own_logprobs, own_weights = rank[case][1]
        assert own_metrics == found[size][0][case][1][0], "metrics are equal on every rank"
        for own, expected in zip(own_metrics, metrics, strict=True):
            assert own == pytest.approx(expected, rel=0.2 if rounded else 1e-4, abs=1e-5)
            assert own["loss"] == pytest.approx(expected["loss"], rel=0.02 if rounded else 1e-5)
            assert own["grad_norm"] == pytest.approx(expected["grad_norm"], rel=0.05 if rounded else 1e-5)
        torch.testing.assert_close(own_logprobs, logprobs, rtol=0, atol=0.5 if rounded else 1e-4)
        assert set(own_weights) == set(weights)
        for name, weight in weights.items():
            close = 0.03 if rounded else 5e-5
            torch.testing.assert_close(own_weights[name], weight, rtol=0, atol=close, msg=lambda m, n=name: f"{n}: {m}")


def test_a_gradient_that_is_not_finite_on_one_rank_is_refused_on_all(on_ranks: Callable[..., list[Any]]) -> None:
    line = "the gradient is not finite; lower the learning rate or the clip range"
    assert on_ranks(2, "update.ranked_sharded:refused") == [(line, True)] * 2


def test_what_is_gathered_does_not_grow_with_the_completions(on_ranks: Callable[..., list[Any]]) -> None:
    few, many = (on_ranks(2, "update.ranked_sharded:gathered", lengths) for lengths in ((7, 3), (7, 3, 12, 1) * 16))
    for rank in range(2):
        assert len(few[rank]) == len(many[rank]) > 0
        assert max(many[rank]) < 1000
        assert max(many[rank]) - max(few[rank]) < 20  # numbers of more digits


def test_a_rank_waits_as_long_as_the_recipe_lets_it(on_ranks: Callable[..., list[Any]]) -> None:
    assert on_ranks(2, "update.ranked_sharded:impatient") == [
        "0:00:01.200000 0:00:01.200000: lost",
        "0:00:01.200000 0:00:01.200000",
    ]
