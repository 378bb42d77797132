from __future__ import annotations

import pytest

from r1kit.maths.length import soft_overlong


@pytest.mark.parametrize(
    ("length", "penalty"), [(16384, 0.0), (16385, -1 / 4096), (18432, -0.5), (20480, -1.0), (30000, -1.0)]
)
def test_dapos_own_numbers(length: int, penalty: float) -> None:
    assert soft_overlong(length, max_length=20480, buffer=4096) == pytest.approx(penalty)
