import random
from fractions import Fraction

import pytest

from r1kit.answers.expression import (
    Tree,
    canonical,
    equation_holds,
    keeps,
    numbers_of,
    read,
    read_answer,
    value_of,
    written,
)


def worth(text: str) -> Fraction | None:
    tree = read_answer(text)
    return None if tree is None else value_of(tree)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 + 1 * 5", 12), ("(7 + 1) * 5", 40), ("7*5-1", 34), ("12 - 5 * 12", -48), ("(12-5)*12", 84),
        ("1 - 5 + 7", 3), ("8 / 4 / 2", 1), ("8 / (4 / 2)", 4), ("1 / 3 * 3", 1), ("7 / 2", Fraction(7, 2)),
        ("-7 + 10", 3), ("- (3 - 5)", 2), ("3 * -4 + 20", 8), ("--3", 3), ("+3 + 4", 7), ("2 - -3", 5),
        ("((((5))))", 5), ("[(2 + 3) * 4] - 1", 19), ("0 * 7", 0), ("5", 5),
        ("3 × 4", 12), ("3 · 4", 12), ("3 x 4", 12), ("12 ÷ 4", 3), ("5 − 2", 3), ("（1 ＋ 2）＊ 3", 9),
        ("3 \\times 4", 12), ("3\\cdot4", 12), ("12 \\div 4", 3), ("\\frac{12}{4} + 1", 4),
        ("\\frac{1 + \\frac{6}{2}}{4}", 1), ("\\left(1 + 2\\right) \\times 3", 9), ("\\dfrac{6}{2}", 3),
        ("$3 + 4$", 7), ("\\boxed{3 + 4}", 7), ("\\boxed{\\frac{8}{2}}", 4), ("\\(3 + 4\\)", 7), ("**3 + 4**", 7),
        ("3 + 4.", 7), ("(12 - 5) * 12 = 84", 84), ("3 + 4 = 7.", 7), ("7 / 2 = \\frac{7}{2}", Fraction(7, 2)),
        ("(12-5)*12 = 7*12 = 84", 84), ("84 = (12-5)*12", 84), ("`(12-5)*12`", 84), ("Answer: (12-5)*12", 84),
        ("The final answer is $(12-5)*12 = 84$.", 84), ("3 + 4 = 7 = 7", 7),
        ("4 ✕ 12 ➗ 3 ➕ 50", 66), ("4 • 12 ⁄ 3", 16), ("4∗12⨯3", 144), ("\\cfrac{12}{4} + 1", 4),
        ("3 + 4,", 7), ("3 + 4 。", 7), ("\\displaystyle 3 + 4 \\quad", 7),
    ],
)  # fmt: skip
def test_worth_by_hand(text: str, value: int | Fraction) -> None:
    assert worth(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "+", "7 +", "* 7", "7 8", "7 + 1 5", "(7 + 1", "7 + 1)", "(7 + 1]", "2(3)", "(2)(3)", "()", "7 ** 2",
        "7 // 2", "7 ^ 2", "3!", "7 % 2", "1.5 + 2", "1,000 + 1", "07 + 1", "1_0", "٧ + 1", "3²", "a + 1", "= 84",
        "(12 - 5) * 12 = 85", "12 - 5 = 7, 7 * 12 = 84",
        "(12-5)*12 = 7*12 = 85", "85 = (12-5)*12", "(12-5)*12 = 7*11 = 84", "12-5 = 7*12 = 84", "84 = = 84", "84 == 84",
        "3 + 4, 5", "3 + 4; 7", "4 ✓ 3", "Answer", "answer 7 8", "84 = x", "The answer is not 84",
        "3 + 4 =", "5 ** 2 ** 1",
        "seven", "__import__('os')", "1 if 1 else 2", "(" * 200 + "1" + ")" * 200, "1" * 400, "\\frac{1}{}",
    ],
)  # fmt: skip
def test_what_is_no_expression(text: str) -> None:
    assert read_answer(text) is None


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("84 = (12 - 5) * 12", "( 12 - 5 ) * 12"), ("(12-5)*12 = 7*12 = 84", "( 12 - 5 ) * 12"),
        ("84 = 7*12", "7 * 12"),
        ("7*12 = (12-5)*12 = 12*(12-5)", "( 12 - 5 ) * 12"), ("84 = 84", "84"),
    ],
)  # fmt: skip
def test_of_a_chain_that_holds_the_side_with_most_numbers_is_the_answer(text: str, side: str) -> None:
    tree = read_answer(text)
    assert tree is not None
    assert written(tree) == side


def test_nothing_is_divided_by_zero_and_divisions_come_out_even_where_they_must() -> None:
    assert worth("7 / (3 - 3)") is None
    assert worth("0 / 5") == 0
    uneven, even = read("7 / 2 * 4"), read("6 / 2 * 4")
    assert uneven is not None
    assert even is not None
    assert (value_of(uneven), value_of(uneven, whole=True)) == (14, None)
    assert value_of(even, whole=True) == 12


@pytest.mark.parametrize(
    ("text", "ops", "use_all", "kept"),
    [
        ("(7 + 1) * 5", "+-*/", True, True), ("7 + 1", "+-*/", True, False), ("7 + 1", "+-*/", False, True),
        ("7 + 1 * 5 * 1", "+-*/", False, False), ("7 + 1 * 6", "+-*/", False, False), ("71 + 5", "+-*/", True, False),
        ("7 / 1 + 5", "+-*", True, False), ("-1 + 5 * 7", "+*", True, True), ("5 * 7 - 1", "+*", True, False),
    ],
)  # fmt: skip
def test_the_rules_of_the_game(text: str, ops: str, use_all: bool, kept: bool) -> None:
    tree = read(text)
    assert tree is not None
    assert keeps(tree, [7, 1, 5], ops, use_all) == kept


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("((12)-5)*12", "( 12 - 5 ) * 12"), ("12-(5*12)", "12 - 5 * 12"), ("9-(5-3)", "9 - ( 5 - 3 )"),
        ("(9-5)-3", "9 - 5 - 3"), ("8/(4*2)", "8 / ( 4 * 2 )"), ("8/4*2", "8 / 4 * 2"), ("2*(3*4)", "2 * ( 3 * 4 )"),
        ("1+(2+3)", "1 + 2 + 3"), ("-(3+4)*2", "( - ( 3 + 4 ) ) * 2"),
    ],
)  # fmt: skip
def test_brackets_only_where_they_are_needed(text: str, again: str) -> None:
    tree = read(text)
    assert tree is not None
    assert written(tree) == again


def test_votes_by_hand() -> None:
    def vote(text: str) -> str:
        tree = read(text)
        assert tree is not None
        return written(canonical(tree))

    assert {vote(text) for text in ("5 + 12 - 3", "12 - 3 + 5", "12 - (3 - 5)", "(5 + 12) - 3")} == {"12 + 5 - 3"}
    assert {vote(text) for text in ("12 * (12 - 5)", "(12-5)*12")} == {"12 * ( 12 - 5 )"}
    assert {vote(text) for text in ("8 / 4 / 2", "8 / (2 * 4)")} == {"8 / 4 / 2"}
    assert vote("8 / (4 / 2)") == "8 * 2 / 4"
    assert vote("12 - 5 * 12") != vote("(12 - 5) * 12")


def random_tree(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return str(rng.randint(0, 30))
    left, right = random_tree(rng, depth - 1), random_tree(rng, depth - 1)
    signed = "-" if rng.random() < 0.1 else ""
    return f"{signed}({left}) {rng.choice('+-*/')} ({right})"


def test_random_expressions_are_worth_what_python_says_and_stay_it() -> None:
    rng, seen = random.Random(0), 0
    for _ in range(1500):
        text = random_tree(rng, 3)
        exact = text if "/" not in text else _as_fractions(text)
        try:
            expected = Fraction(eval(exact, {"Fraction": Fraction}))
        except ZeroDivisionError:
            expected = None
        tree = read(text)
        assert tree is not None
        assert value_of(tree) == expected, text
        if expected is None:
            continue
        seen += 1
        for same in (read(written(tree)), canonical(tree), read(written(canonical(tree)))):
            assert same is not None
            assert value_of(same) == expected, text
            assert sorted(_without_one(same)) == sorted(_without_one(tree))
        assert canonical(canonical(tree)) == canonical(tree)
    assert seen > 1000


def _as_fractions(text: str) -> str:
    return "".join(f"Fraction({part})" if part.isdigit() else part for part in _parts(text))


def _parts(text: str) -> list[str]:
    parts = [""]
    for sign in text:
        if parts[-1].isdigit() and sign.isdigit():
            parts[-1] += sign
        else:
            parts.append(sign)
    return parts


def _without_one(tree: Tree) -> list[int]:
    """The numbers, but for the 1 that an inverse may need."""
    return [number for number in numbers_of(tree) if number != 1]


@pytest.mark.parametrize(
    ("text", "holds"),
    [("84 = (12 - 5) * 12", True), ("(12 - 5) * 12 = 84.", True), ("7 / 2 = 3", False), ("84", None), ("x = 1", None)],
)
def test_whether_an_equation_holds(text: str, holds: bool | None) -> None:
    assert equation_holds(text) is holds
