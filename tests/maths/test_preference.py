"""Reward-model losses and calibration, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from r1kit.maths.preference import bradley_terry, calibration_error, pointwise, reliability


def test_bradley_terry_by_hand() -> None:
    loss = bradley_terry(torch.tensor([1.0, 3.0, 0.0]), torch.tensor([1.0, 3.0 - math.log(3), math.log(3)]))
    assert loss.tolist() == pytest.approx([math.log(2), math.log(4 / 3), math.log(4)])  # wins with 1/2, 3/4, 1/4


def test_bradley_terry_sees_only_the_difference_and_stays_finite() -> None:
    chosen, rejected = torch.tensor([0.3, -1e4]), torch.tensor([0.1, 1e4])
    shifted, plain = bradley_terry(chosen + 5, rejected + 5).tolist(), bradley_terry(chosen, rejected).tolist()
    assert shifted[0] == pytest.approx(plain[0], abs=1e-6)
    assert plain[1] == pytest.approx(2e4)


def test_the_gradient_of_bradley_terry_is_the_chance_of_losing() -> None:
    chosen = torch.tensor([math.log(3)], requires_grad=True)
    bradley_terry(chosen, torch.zeros(1)).sum().backward()
    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.25)


def test_pointwise_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3), math.log(3)])
    assert pointwise(logits, torch.tensor([1.0, 1.0, 0.0])).tolist() == pytest.approx(
        [math.log(2), math.log(4 / 3), math.log(4)]
    )


def test_reliability_and_calibration_by_hand() -> None:
    table = reliability([0.1, 0.3, 0.8, 0.9, 1.0], [False, True, True, True, False], bins=2)
    assert [(row.low, row.high, row.count) for row in table] == [(0.0, 0.5, 2), (0.5, 1.0, 3)]
    assert [row.predicted for row in table] == pytest.approx([0.2, 0.9])
    assert [row.observed for row in table] == pytest.approx([0.5, 2 / 3])
    assert calibration_error(table) == pytest.approx(2 / 5 * 0.3 + 3 / 5 * (0.9 - 2 / 3))


def test_calibrated_is_zero_and_empty_bins_are_left_out() -> None:
    table = reliability([0.25] * 4 + [0.75] * 4, [True, False, False, False, True, True, True, False])
    assert [row.low for row in table] == [0.2, 0.7]
    assert calibration_error(table) == pytest.approx(0.0)
    assert calibration_error([]) == 0.0
