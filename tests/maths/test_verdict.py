from __future__ import annotations

import pytest

from r1kit.maths.verdict import VERDICTS, mean_over_orders, verdict_value


@pytest.mark.parametrize(("verdict", "value"), VERDICTS.items())
def test_five_verdicts(verdict: str, value: int) -> None:
    assert verdict_value(f"Both are fine. My final verdict is: [[{verdict}]]") == value


def test_the_last_verdict_counts_and_what_is_none_is_none() -> None:
    assert verdict_value("At first [[A>>B]], but on reflection [[ B>A ]].") == -1
    assert verdict_value("[[B=A]]") == 0
    for text in ("A>B", "[[A>A]]", "[[A<B]]", "[A>B]", ""):
        assert verdict_value(text) is None


def test_mean_over_orders_by_hand() -> None:
    """Shown first it wins by 2 and 1, shown second it loses by 1 and wins by 0: 1.5 and (as B) +1 and 0."""
    assert mean_over_orders([2, -1, 1, 0], [False, True, False, True]) == pytest.approx((1.5 + 0.5) / 2)


def test_a_judge_that_always_prefers_the_first_place_says_nothing() -> None:
    assert mean_over_orders([2, 2, 2, 2], [False, True, False, True]) == 0.0
    assert mean_over_orders([2, 2, 2, None], [False, True, False, True]) == 0.0  # also with a verdict missing


def test_both_orders_must_have_a_verdict() -> None:
    assert mean_over_orders([2, None, 1, None], [False, True, False, True]) is None
    assert mean_over_orders([2, 1], [False, False]) == 1.5
    assert mean_over_orders([], []) is None
