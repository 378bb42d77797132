from __future__ import annotations

import random
from itertools import combinations

import pytest

from r1kit.maths.pass_at_k import consensus, pass_at_k


def test_by_hand() -> None:
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 1, 2) == 0.5
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)
    assert pass_at_k(16, 0, 16) == 0.0
    assert pass_at_k(16, 1, 16) == 1.0


@pytest.mark.parametrize("correct", range(7))
def test_is_the_mean_over_all_draws(correct: int) -> None:
    samples = [1] * correct + [0] * (6 - correct)
    for k in range(1, 7):
        draws = [max(draw) for draw in combinations(samples, k)]
        assert pass_at_k(6, correct, k) == pytest.approx(sum(draws) / len(draws))


def test_consensus() -> None:
    assert consensus(["4", "5", "4", None], [1, 0, 1, 0]) == 1.0
    assert consensus(["5", "5", "4"], [0, 0, 1]) == 0.0
    assert consensus([None, None, None, "4"], [0, 0, 0, 1]) == 1.0
    assert consensus([None, None], [0, 0]) == 0.0
    assert consensus(["4", "4"], [0, 1]) == 1.0  # the same answer, one of them refused by a gate on its form


def test_a_tie_is_a_fair_draw() -> None:
    assert consensus(["4", "5"], [1, 0]) == 0.5
    assert consensus(["4", "5", "6", "4", "5", "6"], [1, 0, 0, 1, 0, 0]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_samples_does_not_matter(seed: int) -> None:
    votes = random.Random(seed).sample([("a", 1.0), ("a", 1.0), ("b", 0.0), ("b", 0.0), ("c", 0.0)], 5)
    assert consensus([answer for answer, _ in votes], [score for _, score in votes]) == 0.5
