"""The length reward, by hand from the formula of 2501.12599, section 2.3.3, and by brute force."""

from __future__ import annotations

from random import Random

import pytest

from r1kit.maths.length import LengthRule, length_rewards


@pytest.mark.parametrize(
    ("lengths", "right", "rule", "rewards"),
    [
        # shortest 10, longest 50 of all: 1/2, 1/4, 0, -1/2; the wrong ones keep what is below 0
        ([10, 20, 30, 50], [True, True, False, False], "kimi", [0.5, 0.25, 0.0, -0.5]),
        ([10, 20, 30, 50], [False, True, True, False], "kimi", [0.0, 0.25, 0.0, -0.5]),
        # shortest 20, longest 40 of the right ones alone
        ([10, 20, 30, 40, 90], [False, True, True, True, False], "right", [0.0, 0.5, 0.0, -0.5, 0.0]),
        ([10, 20, 30], [False, True, False], "right", [0.0, 0.0, 0.0]),
        ([10, 20, 30], [False, False, False], "right", [0.0, 0.0, 0.0]),
        ([20, 20], [True, False], "kimi", [0.0, 0.0]),
        ([], [], "right", []),
    ],
)
def test_by_hand(lengths: list[int], right: list[bool], rule: LengthRule, rewards: list[float]) -> None:
    assert length_rewards(lengths, right, rule) == pytest.approx(rewards)


def test_what_holds_of_any_group() -> None:
    for seed in range(300):
        rng = Random(seed)
        lengths = [rng.randint(1, 60) for _ in range(rng.randint(1, 8))]
        right = [rng.random() < 0.6 for _ in lengths]
        own, all_of = length_rewards(lengths, right, "right"), length_rewards(lengths, right, "kimi")
        order = rng.sample(range(len(lengths)), len(lengths))
        moved = length_rewards([lengths[i] for i in order], [right[i] for i in order], "right")
        assert moved == [own[i] for i in order]
        for i, held in enumerate(right):
            assert -0.5 <= own[i] <= 0.5
            assert own[i] == 0 if not held else True
            assert all_of[i] <= 0 if not held else True
            for j, other in enumerate(right):
                if held and other and lengths[i] < lengths[j]:
                    assert own[i] > own[j]
        if all(right):
            assert own == all_of
