"""Clustered bootstrap against exact small cases and the textbook standard error."""

from __future__ import annotations

import numpy as np
import pytest

from r1kit.evals.interval import bootstrap_means, mean_interval


def test_two_clusters_give_their_three_possible_means() -> None:
    means = bootstrap_means(np.array([0.0, 1.0]), ["a", "b"], resamples=4000)
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_clusters_of_different_size_are_drawn_whole() -> None:
    means = bootstrap_means(np.array([1.0, 1.0, 1.0, 0.0]), ["a", "a", "a", "b"])
    assert set(means.tolist()) == {0.0, 0.75, 1.0}


def test_independent_problems_agree_with_the_normal_interval() -> None:
    values = np.random.default_rng(0).random(400)
    interval = mean_interval(values, [str(index) for index in range(400)], resamples=4000)
    half = 1.96 * values.std() / 20
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.003)


def test_repeating_every_problem_does_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).random(50)
    names = [str(index) for index in range(50)]
    once, tripled = mean_interval(values, names), mean_interval(np.tile(values, 3), names * 3)
    assert (tripled.low, tripled.high) == pytest.approx((once.low, once.high))
    naive = mean_interval(np.tile(values, 3), [str(index) for index in range(150)])
    assert naive.high - naive.low < 0.7 * (once.high - once.low)


def test_same_seed_same_interval_and_one_cluster_has_no_width() -> None:
    values = np.array([0.2, 0.4, 0.9])
    assert mean_interval(values, list("abc"), seed=3) == mean_interval(values, list("abc"), seed=3)
    single = mean_interval(values, ["a"] * 3)
    assert (single.low, single.high) == pytest.approx((0.5, 0.5))
    assert single.clusters == 1
