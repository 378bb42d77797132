"""What the scores of steps make of a solution, and of each token, by hand and against a plain reference."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch

from r1kit.maths.advantage import process_relative
from r1kit.maths.step_scores import AGGREGATES, of_steps, picked


def test_what_a_solution_is_worth() -> None:
    scores = [0.5, 0.25, 0.75]
    expected = {"min": 0.25, "last": 0.75, "mean": 0.5, "product": 0.09375, "sum": 1.5}
    assert {how: of_steps(scores, how) for how in AGGREGATES} == expected
    assert {of_steps([0.5], how) for how in AGGREGATES} == {0.5}


def test_the_best_is_picked_and_ties_are_shared() -> None:
    assert picked([0.1, 0.9, 0.5], [1.0, 0.0, 1.0]) == 0.0
    assert picked([0.9, 0.9, 0.5], [1.0, 0.0, 1.0]) == 0.5
    assert picked([-math.inf], [1.0]) == 1.0


def test_steps_are_pooled_over_the_group_and_summed_to_the_right() -> None:
    """Rewards 1, 0 and 1, 1: mean 3/4, population std sqrt(3)/4, so a good step is worth 1/sqrt(3), a bad one -sqrt(3).

    The first completion, of 5 tokens: its steps end at 2 and 4, so tokens 0, 1 are in both, 2, 3 in the second alone
    and 4 in none. The second, of 3: its steps end at 1 and 3.
    """
    found = process_relative([[1.0, 0.0], [1.0, 1.0]], [[2, 4], [1, 3]], [5, 3], std="population", eps=0.0)
    good, bad = 1 / math.sqrt(3), -math.sqrt(3)
    assert found[0].tolist() == pytest.approx([good + bad, good + bad, bad, bad, 0.0])
    assert found[1].tolist() == pytest.approx([2 * good, good, good])
    plain = process_relative([[1.0, 0.0], [1.0, 1.0]], [[2, 4], [1, 3]], [5, 3], std="none")
    assert plain[0].tolist() == pytest.approx([-0.5, -0.5, -0.75, -0.75, 0.0])


def test_more_good_steps_are_paid_more() -> None:
    """What the hack is made of: both end right and every step of both is good, and one of a third is bad."""
    short, long, bad = process_relative([[1.0], [1.0, 1.0, 1.0], [0.0]], [[4], [2, 4, 6], [3]], [4, 6, 3])
    assert long[0] == pytest.approx(3 * float(short[0]))
    assert float(bad[0]) < 0


@pytest.mark.parametrize("rewards", [[[0.5, 0.5], [0.5]], [[0.7]], [[], []]])
def test_steps_that_all_earn_the_same_give_nothing(rewards: list[list[float]]) -> None:
    ends = [[place + 1 for place in range(len(row))] for row in rewards]
    found = process_relative(rewards, ends, [len(row) for row in rewards])
    assert [one.tolist() for one in found] == [[0.0] * len(row) for row in rewards]


def test_against_the_formula_on_random_groups() -> None:
    rng = Random(0)
    for _ in range(50):
        lengths = [rng.randint(1, 12) for _ in range(rng.randint(2, 5))]
        ends = [sorted({*rng.sample(range(1, n + 1), rng.randint(0, n - 1)), n}) for n in lengths]
        rewards = [[rng.random() for _ in row] for row in ends]
        pooled = [one for row in rewards for one in row]
        mean = sum(pooled) / len(pooled)
        std = math.sqrt(sum((one - mean) ** 2 for one in pooled) / (len(pooled) - 1))
        found = process_relative(rewards, ends, lengths)
        for row, places, own, length in zip(rewards, ends, found, lengths, strict=True):
            expected = [
                sum((r - mean) / (std + 1e-6) for r, end in zip(row, places, strict=True) if end > token)
                for token in range(length)
            ]
            assert own.dtype is torch.float32
            assert own.tolist() == pytest.approx(expected, abs=1e-5)
