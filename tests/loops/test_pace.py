"""What is measured of a step, and how it is put together."""

from __future__ import annotations

import pytest

from r1kit.loops.pace import _fitted, measure
from r1kit.plan.pace import Pace
from r1kit.recipe import load_recipe


def test_the_fit_finds_what_made_the_seconds_and_nothing_negative() -> None:
    counts = [[100.0, 100.0, 5e3], [200.0, 1600.0, 2e5], [50.0, 6400.0, 3e5], [200.0, 25600.0, 2e6]]
    made = [(row, 2e-3 * row[0] + 3e-5 * row[1] + 1e-7 * row[2]) for row in counts]
    assert _fitted(made) == pytest.approx((2e-3, 3e-5, 1e-7))
    less = [(row, 2e-3 * row[0] + 3e-5 * row[1] - 1e-9 * row[2]) for row in counts]
    assert _fitted(less)[2] == 0.0
    assert min(_fitted(less)) >= 0.0


def test_a_step_s_parts_are_measured() -> None:
    recipe = load_recipe(
        "nano-zero",
        ["r1_zero.prompts_per_step=4", "r1_zero.sampling.n=4", "r1_zero.sampling.max_tokens=24",
         "model.num_layers=1"],
    )  # fmt: skip
    found = measure(recipe, "r1_zero")
    pace = Pace(**found["seconds"])
    assert min(found["seconds"].values()) >= 0
    assert pace.token_step(16, 16 * 30) > 0
    assert min(pace.learn + pace.update, pace.read, pace.score, pace.hand_over) > 0
    assert found["hand_over_bytes_per_second"] == pytest.approx(found["weight_bytes"] / pace.hand_over)
