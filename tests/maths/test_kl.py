from __future__ import annotations

import math

import pytest
import torch

from r1kit.maths.kl import k1, k2, k3


def test_by_hand() -> None:
    policy, reference = torch.tensor([0.5, 0.25]).log(), torch.tensor([0.25, 0.5]).log()  # r = 1/2 and 2
    log2 = math.log(2)
    assert k1(policy, reference).tolist() == pytest.approx([log2, -log2])
    assert k2(policy, reference).tolist() == pytest.approx([log2**2 / 2] * 2)
    assert k3(policy, reference).tolist() == pytest.approx([0.5 + log2 - 1, 2 - log2 - 1])


def test_k1_and_k3_are_unbiased_over_the_whole_distribution() -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.3, 0.3, 0.4]).double()
    kl = (p * (p / q).log()).sum()
    assert (p * k1(p.log(), q.log())).sum() == pytest.approx(kl.item())
    assert (p * k3(p.log(), q.log())).sum() == pytest.approx(kl.item())


def test_clamps_of_k3() -> None:
    policy, reference = torch.tensor([-50.0, -0.0]), torch.tensor([-1.0, -40.0])  # log r = 49 and -40
    by_input = k3(policy, reference, input_clamp=20.0)
    assert by_input.tolist() == pytest.approx([math.exp(20) - 21, math.exp(-20) + 19])
    assert k3(policy, reference, input_clamp=20.0, value_clamp=10.0).tolist() == [10.0, 10.0]


def test_a_clamped_token_gives_no_gradient_however_far_it_is() -> None:
    policy = torch.tensor([-200.0, -50.0, -1.5], requires_grad=True)
    k3(policy, torch.full((3,), -1.0), value_clamp=10.0).sum().backward()
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([0.0, 0.0, 1 - math.exp(0.5)])


def test_k3_is_never_negative_however_close() -> None:
    policy = torch.linspace(-3, 0, 1000)
    assert (k3(policy, policy + 1e-4 * torch.linspace(-1, 1, 1000)) >= 0).all()
