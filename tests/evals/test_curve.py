"""Curves read back from evaluation lines."""

from __future__ import annotations

from r1kit.evals.curve import curve, gain

LINES = [
    {"step": 0, "task": "a", "avg_at_k": 0.1, "interval": [0.0, 0.2], "correct_given_claim": None},
    {"step": 20, "task": "a", "avg_at_k": 0.5, "interval": [0.4, 0.6], "correct_given_claim": 0.5},
    {"step": 10, "task": "a", "avg_at_k": 0.3, "interval": [0.2, 0.4], "correct_given_claim": 0.4},
    {"step": 10, "task": "b", "avg_at_k": 0.9, "interval": [0.9, 0.9]},
    {"step": 20, "task": "a", "avg_at_k": 0.6, "interval": [0.5, 0.7], "correct_given_claim": 0.6},
]


def test_by_step_with_the_last_line_of_a_step_and_its_interval() -> None:
    found = curve(LINES, "a", "avg_at_k")
    assert (found.steps, found.values) == ((0, 10, 20), (0.1, 0.3, 0.6))
    assert (found.low, found.high) == ((0.0, 0.2, 0.5), (0.2, 0.4, 0.7))
    assert gain(found) == 0.5


def test_undefined_points_are_left_out() -> None:
    found = curve(LINES, "a", "correct_given_claim")
    assert (found.steps, found.values, found.low) == ((10, 20), (0.4, 0.6), ())
    assert gain(curve(LINES, "b", "avg_at_k")) == 0.0
    assert curve(LINES, "c", "avg_at_k").steps == ()
