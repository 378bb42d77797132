"""Advantages from values, worked out by hand, and against the sums they are defined by."""

from __future__ import annotations

import math
import random

import pytest
import torch

from r1kit.maths.gae import advantages_and_returns, explained_variance, value_loss, whitened


def test_by_hand() -> None:
    """Values .5, .2, .4; only the end pays 1. With lambda 1: what is earned less the value. With lambda 0: deltas."""
    rewards, values = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.5, 0.2, 0.4])
    advantages, returns = advantages_and_returns(rewards, values)
    assert advantages.tolist() == pytest.approx([0.5, 0.8, 0.6])
    assert returns.tolist() == pytest.approx([1.0, 1.0, 1.0])
    advantages, _ = advantages_and_returns(rewards, values, gae_lambda=0.0)
    assert advantages.tolist() == pytest.approx([0.2 - 0.5, 0.4 - 0.2, 1.0 - 0.4])
    advantages, returns = advantages_and_returns(rewards, values, gae_lambda=0.5, discount=0.9)
    deltas = [0.9 * 0.2 - 0.5, 0.9 * 0.4 - 0.2, 1.0 - 0.4]
    last = deltas[2]
    middle = deltas[1] + 0.45 * last
    assert advantages.tolist() == pytest.approx([deltas[0] + 0.45 * middle, middle, last])
    assert returns.tolist() == pytest.approx([a + v for a, v in zip(advantages.tolist(), values.tolist(), strict=True)])


def test_is_the_sum_it_is_defined_by() -> None:
    draw = random.Random(1)
    for _ in range(30):
        n, discount, kept = draw.randint(1, 12), draw.random(), draw.random()
        rewards, values = ([draw.gauss(0, 1) for _ in range(n)] for _ in range(2))
        found, _ = advantages_and_returns(
            torch.tensor(rewards), torch.tensor(values), discount=discount, gae_lambda=kept
        )
        deltas = [r + discount * v1 - v for r, v, v1 in zip(rewards, values, [*values[1:], 0.0], strict=True)]
        wanted = [sum((discount * kept) ** (i - t) * deltas[i] for i in range(t, n)) for t in range(n)]
        assert found.tolist() == pytest.approx(wanted, abs=1e-5)


def test_whitened_over_all_tokens() -> None:
    first, second = whitened([torch.tensor([1.0, 2.0]), torch.tensor([3.0])])
    assert first.tolist() + second.tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert [one.tolist() for one in whitened([torch.tensor([2.0]), torch.tensor([2.0])])] == [[0.0], [0.0]]
    assert whitened([torch.tensor([5.0])])[0].tolist() == [0.0]


def test_value_loss_clips_what_moved_too_far() -> None:
    """From .0 to .5 with returns 1: held at .2 its error is .8, not .5. From .0 to .1 nothing is cut. Towards a return
    of 0 from old 1.0 the value .5 errs by .5, held at .8 by .8."""
    values = torch.tensor([0.5, 0.1, 0.5], requires_grad=True)
    loss, cut = value_loss(values, torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 1.0, 0.0]), 0.2)
    assert loss.tolist() == pytest.approx([0.32, 0.405, 0.32])
    assert cut.tolist() == [1, 0, 1]
    loss.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == pytest.approx([0.0, -0.9, 0.0])
    plain, none = value_loss(values, torch.zeros(3), torch.tensor([1.0, 1.0, 0.0]), None)
    assert plain.tolist() == pytest.approx([0.125, 0.405, 0.125])
    assert not none.any()


def test_explained_variance() -> None:
    returns = [torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])]
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance([torch.full((2,), 0.3)] * 2, returns) == pytest.approx(0.0)
    assert math.isnan(explained_variance(returns, [torch.ones(2)] * 2))
