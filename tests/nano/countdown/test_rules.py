import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.nano.countdown.rules import Rules, candidates, canonical, combine, evaluate, targets

RULES = Rules()


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("7 + 1 * 5", 40),  # (7 + 1) * 5, never 7 + 5
        ("7*5-1", 34),
        ("5 * 7 - 1", 34),
        ("7 - 1 - 5", 1),
        ("1 - 5 + 7", None),  # 1 - 5 is below 0
        ("7 + 1", None),  # 5 is left over
        ("7 + 1 * 5 * 1", None),  # 1 twice
        ("7 + 1 * 6", None),  # 6 was not given
        ("(7 + 1) * 5", None),
        ("7 + 1 * 5 = 40", None),
        ("7 / 1 + 5", None),
        ("7 + 1 5", None),
        ("- 7 + 1 * 5", None),
        ("٧ + 1 * 5", None),
        ("", None),
    ],
)
def test_evaluate_by_hand(answer: str, value: int | None) -> None:
    assert evaluate(answer, [7, 1, 5], RULES) == value


def test_no_result_leaves_the_range() -> None:
    assert combine(9, "*", 11, RULES) == 99
    assert combine(10, "*", 10, RULES) is None
    assert evaluate("12 * 9 - 11", [12, 9, 11], RULES) is None  # 108 on the way to 97
    assert evaluate("12 * 9 - 11", [12, 9, 11], Rules(limit=108)) == 97
    assert evaluate("7 * 5 - 1", [7, 1, 5], Rules(ops=("+", "-"))) is None


def test_canonical_orders_the_first_commutative_pair_only() -> None:
    assert canonical("5*7 -1") == canonical("7 * 5 - 1") == "7 * 5 - 1"
    assert canonical("1 + 2 + 3") == "2 + 1 + 3" != canonical("1 + 3 + 2")
    assert canonical("1 - 2") == "1 - 2"
    assert canonical(" forty   two ") == "forty two"


def test_candidates_of_three_ones_by_hand() -> None:
    # 1 op 1 op 1 with nine pairs of operators; 1 - 1 - 1 is below 0
    found = {candidate.text: candidate.value for candidate in candidates((1, 1, 1), RULES)}
    assert found == {
        "1 + 1 + 1": 3,
        "1 + 1 - 1": 1,
        "1 + 1 * 1": 2,
        "1 - 1 + 1": 1,
        "1 - 1 * 1": 0,
        "1 * 1 + 1": 2,
        "1 * 1 - 1": 0,
        "1 * 1 * 1": 1,
    }
    assert targets((1, 1, 1), RULES) == (0, 1, 2, 3)


@given(st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_candidates_are_canonical_and_worth_what_they_say(numbers: list[int]) -> None:
    found = candidates(tuple(numbers), RULES)
    assert len({candidate.text for candidate in found}) == len(found) > 0
    for candidate in found:
        assert evaluate(candidate.text, numbers, RULES) == candidate.value
        assert canonical(candidate.text) == candidate.text
