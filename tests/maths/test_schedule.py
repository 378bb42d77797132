from __future__ import annotations

import pytest

from r1kit.maths.schedule import learning_rate


def rates(**settings: object) -> list[float]:
    return [learning_rate(step, **settings) for step in range(int(settings["steps"]))]  # type: ignore[arg-type]


def test_by_hand() -> None:
    assert rates(steps=4, peak=2.0) == [2.0] * 4
    assert rates(steps=6, peak=1.0, warmup=2, shape="linear") == pytest.approx([0.5, 1.0, 1.0, 2 / 3, 1 / 3, 0.0])
    assert rates(steps=5, peak=1.0, shape="cosine") == pytest.approx([1, 0.8535534, 0.5, 0.1464466, 0])
    assert rates(steps=5, peak=2.0, shape="linear", floor=0.5) == pytest.approx([2, 1.75, 1.5, 1.25, 1])


def test_beyond_the_last_step_the_floor_stays() -> None:
    assert learning_rate(99, steps=5, peak=2.0, shape="cosine", floor=0.1) == pytest.approx(0.2)


def test_a_run_shorter_than_its_warmup_only_rises() -> None:
    assert rates(steps=2, peak=1.0, warmup=4, shape="cosine") == [0.25, 0.5]
