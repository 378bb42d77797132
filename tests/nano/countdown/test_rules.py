from fractions import Fraction
from itertools import permutations, product
from random import Random

import pytest

from r1kit.answers.expression import keeps, value_of, written
from r1kit.nano.countdown.rules import Rules, combine, evaluate, solutions, vote

RULES = Rules()


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("7 + 1 * 5", 12),  # 7 + 5
        ("(7 + 1) * 5", 40),
        ("7*5-1", 34),
        ("1 - 5 + 7", 3),  # below 0 on the way, which is nobody's business
        ("7 - (1 - 5)", 11),
        ("7 + 1", None),  # 5 is left over
        ("7 + 1 * 5 * 1", None),  # 1 twice
        ("7 + 1 * 6", None),  # 6 was not given
        ("(7 + 1) * 5 = 40", 40),
        ("(7 + 1) * 5 = 41", None),
        ("7 / 1 + 5", None),  # / is not among the operators
        ("7 + 1 5", None),
        ("-7 + 1 * 5", -2),
        ("", None),
    ],
)
def test_evaluate_by_hand(answer: str, value: int | None) -> None:
    assert evaluate(answer, [7, 1, 5], RULES) == value


def test_divisions_by_setting() -> None:
    exact, fractions = Rules(ops=("*", "/"), even=True), Rules(ops=("*", "/"), even=False)
    assert evaluate("3 * 4 / 6", [3, 4, 6], exact) == 2
    assert evaluate("3 / 6 * 4", [3, 4, 6], exact) is None  # 3 / 6 does not come out even, though the whole does
    assert evaluate("3 / 6 * 4", [3, 4, 6], fractions) == 2
    assert evaluate("3 / 4 * 6", [3, 4, 6], fractions) == Fraction(9, 2)
    assert evaluate("3 * 4 / 6", [3, 4, 6], RULES) is None


def test_leaving_numbers_over_by_setting() -> None:
    some = Rules(use_all=False)
    assert evaluate("7 * 5", [7, 1, 5], some) == 35
    assert evaluate("7 * 7", [7, 1, 5], some) is None


def test_no_solution_leaves_the_range_but_an_answer_may() -> None:
    assert combine(9, "*", 11, RULES) == 99
    assert combine(10, "*", 10, RULES) is None
    assert combine(3, "-", 5, RULES) is None
    assert evaluate("12 * 9 - 11", [12, 9, 11], RULES) == 97
    assert 97 not in solutions((9, 11, 12), RULES)  # 108 on the way; 12 + 9 * 11 is 111
    assert 97 in solutions((9, 11, 12), Rules(limit=108))


def test_votes() -> None:
    assert vote("5*7 -1") == vote("7 * 5 - 1") == "7 * 5 - 1"
    assert vote("1 + 2 + 3") == vote("(3 + 1) + 2 = 6") == "3 + 2 + 1"
    assert vote("1 - 2") == "1 - 2"
    assert vote(" forty   two ") == "forty two"
    assert vote("1 / (2 - 2)") == "1 / (2 - 2)"


def test_solutions_of_three_ones_by_hand() -> None:
    # (1 + 1) + 1, (1 + 1) * 1, 1 * 1 or 1 + 1 - 1, and 1 - 1 with anything
    assert list(solutions((1, 1, 1), RULES)) == [0, 1, 2, 3]


def everything(numbers: tuple[Fraction, ...], ops: str) -> set[tuple[Fraction, frozenset[Fraction]]]:
    """(value, results on the way) of every way to take two numbers and put back their result until one is left."""
    if len(numbers) == 1:
        return {(numbers[0], frozenset())}
    found = set()
    for one, two in permutations(range(len(numbers)), 2):
        rest = tuple(number for place, number in enumerate(numbers) if place not in (one, two))
        left, right = numbers[one], numbers[two]
        results = {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else None}
        for made in (results[op] for op in ops):
            if made is not None:
                found |= {(value, way | {made}) for value, way in everything((*rest, made), ops)}
    return found


@pytest.mark.parametrize(
    ("ops", "even", "count", "highest", "limit"),
    [("+-*", True, 3, 12, 99), ("+-*/", True, 3, 30, 200), ("+-*/", False, 3, 20, 60), ("+-*/", True, 4, 9, 50)],
)
def test_solutions_are_those_that_brute_force_finds(ops: str, even: bool, count: int, highest: int, limit: int) -> None:
    rng, rules = Random(count * highest), Rules(ops=tuple(ops), even=even, limit=limit)
    for _ in range(12 if count == 3 else 2):
        numbers = tuple(sorted(rng.randint(1, highest) for _ in range(count)))
        found = solutions(numbers, rules)
        within = set()
        for value, way in everything(tuple(map(Fraction, numbers)), ops):
            whole = all(made.denominator == 1 for made in way)
            if value.denominator == 1 and all(0 <= made <= limit for made in way) and (whole or not even):
                within.add(int(value))
        assert set(found) == within, numbers
        for value, tree in found.items():
            assert value_of(tree, even) == value
            assert keeps(tree, numbers, ops)
            assert evaluate(written(tree), numbers, rules) == value


def test_without_division_three_numbers_have_these_forms_only() -> None:
    # (a . b) . c and a . (b . c) over every order of the numbers
    rng = Random(5)
    for _ in range(30):
        numbers = tuple(sorted(rng.randint(1, 12) for _ in range(3)))
        values = set()
        for (a, b, c), one, two in product(permutations(numbers), "+-*", "+-*"):
            forms = {f"({a} {one} {b}) {two} {c}": f"{a} {one} {b}", f"{a} {one} ({b} {two} {c})": f"{b} {two} {c}"}
            for text, inner in forms.items():
                value = evaluate(text, numbers, RULES)
                assert value is not None
                if 0 <= value <= 99 and 0 <= eval(inner) <= 99:
                    values.add(int(value))
        assert set(solutions(numbers, RULES)) == values
