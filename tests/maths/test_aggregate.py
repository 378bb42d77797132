from __future__ import annotations

import pytest

from r1kit.maths.aggregate import token_weights


def test_by_hand() -> None:
    assert token_weights([1, 3], "sequence-mean") == pytest.approx([1 / 2, 1 / 6])
    assert token_weights([1, 3], "token-mean") == pytest.approx([1 / 4, 1 / 4])
    assert token_weights([1, 3], "constant", constant=10) == pytest.approx([1 / 20, 1 / 20])


def test_an_empty_row_weighs_nothing_and_is_counted() -> None:
    assert token_weights([0, 4], "sequence-mean") == [0.0, 1 / 8]
    assert token_weights([0, 4], "token-mean") == [0.0, 1 / 4]
