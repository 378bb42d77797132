import ast
import math
from typing import Any

import pytest

from r1kit.sandbox import CallTest
from r1kit.tasks.code.files.asserts import asserted_cases, case_of, check_cases, constant


@pytest.mark.parametrize(
    ("text", "call", "expect"),
    [
        ("f([1, 2]) == 3", "f([1, 2])", 3),
        ("3 == f(1)", "f(1)", 3),
        ("f(1) == [1.5, (2, 'a'), {'k': None}]", "f(1)", [1.5, (2, "a"), {"k": None}]),
        ("set(f(1)) == {1, 2}", "set(f(1))", {1, 2}),
        ("f(1) == -2 ** 10 + 1 / 4", "f(1)", -1023.75),
        ("f() is None", "f()", None),
        ("abs(f(2) - 0.5) < 1e-6", "f(2)", 0.5),
        ("math.fabs(f(2) - 1 / 3) <= 1e-09", "f(2)", 1 / 3),
        ("f(2)", "bool(f(2))", True),
        ("not f(2)", "bool(f(2))", False),
        ("f(2) in (1, 2)", "bool(f(2) in (1, 2))", True),
        ("f(2) == g(3)", "bool(f(2) == g(3))", True),
        ("f(2) != 3", "bool(f(2) != 3)", True),
        ("abs(f(2) - 0.5) < 0.1", "bool(abs(f(2) - 0.5) < 0.1)", True),
        ("f(2) == 10 ** 10 ** 10", "bool(f(2) == 10 ** 10 ** 10)", True),
        ("f(2) == 1 / 0", "bool(f(2) == 1 / 0)", True),
        ("f(2) == {[1]}", "bool(f(2) == {[1]})", True),
    ],
)
def test_a_condition_by_hand(text: str, call: str, expect: Any) -> None:
    assert case_of(ast.parse(text, mode="eval").body) == CallTest(call, expect)


def test_constants_are_data_alone() -> None:
    for text in ("x", "f(1)", "[].append(1)", "1 if True else 2", "{**{}}", "'a' * 10 ** 9", "2 ** 100"):
        with pytest.raises(ValueError, match=r"^$"):
            constant(ast.parse(text, mode="eval").body)
    assert constant(ast.parse("{1: [2 * 3, -1.5]}", mode="eval").body) == {1: [6, -1.5]}
    assert math.isclose(constant(ast.parse("22 / 7", mode="eval").body), 22 / 7)


CHECK = '''
METADATA = {"author": "x"}

def check(candidate):
    """Tests."""
    assert candidate([3, 1]) == [1, 3], "first"
    assert candidate([]) == []
    assert True, "trivial"
'''


def test_check_functions() -> None:
    assert check_cases(CHECK, "order") == [CallTest("order([3, 1])", [1, 3]), CallTest("order([])", [])]
    assert check_cases("def check(f):\n    for x in [1]:\n        assert f(x) == x", "order") is None
    assert check_cases("import math\ndef check(f):\n    assert f(1) == 1", "order") is None
    for broken in ("def test(f):\n    pass", "def check():\n    pass", "def check(f:"):
        with pytest.raises(SyntaxError):
            check_cases(broken, "order")


def test_assert_lines() -> None:
    assert asserted_cases(["assert f(1) == 2 ", "assert f(2)"]) == [CallTest("f(1)", 2), CallTest("bool(f(2))", True)]
    for broken in ("f(1) == 2", "assert f(1) == 2; assert f(2)", "assert f(1 =="):
        with pytest.raises(SyntaxError):
            asserted_cases([broken])
