from __future__ import annotations

import pytest

from r1kit.maths.aggregate import token_weights


def test_by_hand() -> None:
    assert token_weights([1, 3], "sequence-mean") == pytest.approx([1 / 2, 1 / 6])
    assert token_weights([1, 3], "token-mean") == pytest.approx([1 / 4, 1 / 4])
    assert token_weights([1, 3], "constant", constant=10) == pytest.approx([1 / 20, 1 / 20])


def test_rows_that_are_not_kept_are_in_no_denominator() -> None:
    kept = [True, False, True]
    assert token_weights([1, 100, 3], "sequence-mean", kept=kept) == pytest.approx([1 / 2, 0, 1 / 6])
    assert token_weights([1, 100, 3], "token-mean", kept=kept) == pytest.approx([1 / 4, 0, 1 / 4])
    assert token_weights([1, 100, 3], "constant", constant=10, kept=kept) == pytest.approx([1 / 20, 0, 1 / 20])
    assert token_weights([4, 4], "token-mean", kept=[False, False]) == [0.0, 0.0]
