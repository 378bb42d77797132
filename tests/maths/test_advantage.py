from __future__ import annotations

import pytest
import torch

from r1kit.maths.advantage import group_relative


def test_by_hand() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 3.0])  # mean 1, squares 0 1 1 0 4 = 6
    assert group_relative(rewards, "none").tolist() == [0.0, -1.0, -1.0, 0.0, 2.0]
    sample = group_relative(rewards, "sample", eps=0.0)  # std sqrt(6 / 4)
    assert sample.tolist() == pytest.approx([0, -0.8164966, -0.8164966, 0, 1.6329932])
    population = group_relative(rewards, "population", eps=0.0)  # std sqrt(6 / 5)
    assert population.tolist() == pytest.approx([0, -0.9128709, -0.9128709, 0, 1.8257419])


def test_eps_is_added_to_the_std() -> None:
    assert group_relative(torch.tensor([0.0, 2.0]), "population", eps=1.0).tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("std", ["sample", "population", "none"])
@pytest.mark.parametrize("rewards", [[0.1] * 3, [0.1 + 0.2] * 7, [1.0], [1e-8] * 16])
def test_a_flat_group_and_a_group_of_one_give_exactly_zero(std: str, rewards: list[float]) -> None:
    assert group_relative(torch.tensor(rewards), std).tolist() == [0.0] * len(rewards)  # type: ignore[arg-type]


def test_shift_and_scale_of_the_rewards_do_not_matter_with_a_std() -> None:
    rewards = torch.tensor([0.0, 1.0, 0.25, 0.5])
    torch.testing.assert_close(group_relative(5 * rewards - 3, eps=0.0), group_relative(rewards, eps=0.0))
