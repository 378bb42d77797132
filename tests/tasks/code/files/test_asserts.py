import ast
import math
from typing import Any

import pytest

from r1kit.sandbox import AssertTest, CallTest
from r1kit.tasks.code.files import plain_pytest
from r1kit.tasks.code.files.asserts import asserted_cases, case_of, check_cases, constant, written_cases


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
        ("f(2) is True", "f(2)", True),
        ("f(2) == False", "f(2)", False),
        ("len(f(2)) == 3", "len(f(2))", 3),
    ],
)
def test_a_condition_by_hand(text: str, call: str, expect: Any) -> None:
    assert case_of(ast.parse(text, mode="eval").body) == CallTest(call, expect, python=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("f(2)", "f"), ("not f(2)", "f"), ("f(2) in (1, 2)", "f"), ("f(2) == g(3)", "f g"), ("f(2) != 3", "f"),
        ("abs(f(2) - 0.5) < 0.1", "f"), ("f(2) == 10 ** 10 ** 10", "f"), ("f(2) == 1 / 0", "f"), ("f(2) == {[1]}", "f"),
        ("all(f(x) == y for x, y in [(1, 2)])", "f"), ("isinstance(f(1), int) == True", "f"),
        ("bool(f(1)) is True", "f"),
        ("math.isclose(f(1), helper(2))", "f"), ("sum(1, 2) > 2", "sum"), ("C(1).x < f(2)[0]", "C f"),
        ("[f for f in (1, 2)] == f(3)", "f"), ("(lambda f: f)(1) < 2 and f(3)", "f"), ("(y := f(1)) > y - g", "f g"),
    ],
)  # fmt: skip
def test_any_other_condition_runs_beside_the_program(text: str, names: str) -> None:
    setup = "import math\ndef helper(x):\n    return x"
    found = case_of(ast.parse(text, mode="eval").body, setup, ("sum", "f"))
    assert found == AssertTest(f"assert {ast.unparse(ast.parse(text))}", tuple(names.split()), setup)
    assert case_of(ast.parse("math.isnan(f(1))", mode="eval").body) == AssertTest(
        "assert math.isnan(f(1))", ("f",), "import math\n"
    ), "the library is the tests' own, not the program's"


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
    assert check_cases(CHECK, "order") == [
        CallTest("order([3, 1])", [1, 3], python=True), CallTest("order([])", [], python=True),
    ]  # fmt: skip
    for whole in (
        "def check(f):\n    for x in [1]:\n        assert f(x) == x", "import math\ndef check(f):\n    assert f(1) == 1"
    ):  # fmt: skip
        assert check_cases(whole, "order", "x = 1") == [AssertTest(f"{whole}\n\ncheck(order)", ("order",), "x = 1")]
    for broken in ("def test(f):\n    pass", "def check():\n    pass", "def check(f:"):
        with pytest.raises(SyntaxError):
            check_cases(broken, "order")


def test_assert_lines() -> None:
    assert asserted_cases(["assert f(1) == 2 ", "assert f(2)"]) == [
        CallTest("f(1)", 2, python=True), AssertTest("assert f(2)", ("f",)),
    ]  # fmt: skip
    assert asserted_cases(["assert f(1) == 2; assert f(2)"]) == asserted_cases(["assert f(1) == 2", "assert f(2)"])
    (prepared,) = asserted_cases(["x = [3, 1]\nf(x)\nassert x == [1, 3]"])
    assert prepared == AssertTest("x = [3, 1]\nf(x)\nassert x == [1, 3]", ("f",))
    for broken in ("f(1) == 2", "x = f(1)", "def g():\n    assert f(1)", "assert f(1 ==", "", "assert 1 == 1 if x"):
        with pytest.raises(SyntaxError):
            asserted_cases([broken])


CLASS = "from solution import f\nclass {}:\n    def test_a(self):\n        {}\n"
MAIN = "def main():\n    assert f(1) == 1\nif __name__ == '__main__':\n    main()"


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (CLASS.format("TestF", "assert f(1) == 1"), "each = TestF()\neach.test_a()"),
        (CLASS.format("F(unittest.TestCase)", "self.assertEqual(f(1), 1)"), "F('test_a').debug()"),
        (CLASS.format("TestF", "assert f(1) == 1\n    def setup_method(self, method):\n        pass"),
         "each = TestF()\neach.setup_method(None)\neach.test_a()"),
        ("import solution\ndef test_a():\n    assert solution.f(1) == 1", "    assert f(1) == 1\ntest_a()"),
        ("from solution import f as g\ndef test_a():\n    assert g(1) == 1",
         "g = f\ndef test_a():\n    assert g(1) == 1\ntest_a()"),
        ("import pytest\ndef test_a():\n    assert f(1) == 1\nif __name__ == '__main__':\n    pytest.main()",
         "test_a()"),
        (MAIN, "    main()"),
    ],
)  # fmt: skip
def test_what_pytest_would_run_is_run(text: str, runs: str) -> None:
    (found,) = written_cases(text)
    assert isinstance(found, AssertTest)
    assert found.code.endswith(runs)
    assert found.names == ("f",)


@pytest.mark.parametrize(
    "text",
    [
        "def check(candidate):\n    assert candidate(1) == 1",
        "if True:\n    def test_a():\n        assert f(1) == 1",
        "class F:\n    def test_a(self):\n        assert f(1) == 1",
        "import pytest\n@pytest.mark.skip(reason='x')\ndef test_a():\n    assert f(1) == 1",
        "import sys\nsys.path.append('.')\ndef a():\n    assert f(1) == 1",
    ],
)
def test_tests_that_nothing_runs_are_refused(text: str) -> None:
    with pytest.raises(SyntaxError, match="nothing that is run"):
        written_cases(text)


PARAMETERS = """
import pytest
from solution import f

@pytest.mark.slow
@pytest.mark.parametrize("a, b", [(1, 2), pytest.param(2, 3, id="two")], ids=["one", "two"])
@pytest.mark.parametrize("c", [0, pytest.param(1)])
def test_a(a, b, c):
    assert f(a + c) == b + c
"""
FIXTURES = """
import pytest
import solution
CASES = ((1, 2), (2, 3))

@pytest.fixture
def made(given):
    given.append(0)
    yield given
    assert given == [0], "the test's own, and each test's anew"

@pytest.fixture()
def given():
    return []

@pytest.mark.parametrize(("a", "b"), CASES)
def test_a(a, made, b, given):
    assert made is given and solution.f(a) == b

class TestF:
    @classmethod
    def setup_class(cls):
        cls.one = 1

    @pytest.mark.parametrize("a", [2, 3])
    def test_b(self, given, a):
        given.append(a)
        assert given == [a] and solution.f(a) == a + self.one and not hasattr(self, "seen")
        self.seen = a
"""


REPLACED = """
import pytest, math
import unittest

@pytest.mark.parametrize("a", [1, 2])
def test_a(a):
    assert f(a) == 0, "the one below has its name"

def test_a():
    assert f(1) == 2

@pytest.fixture
def numbers():
    def inner():
        yield 2
    return inner

@pytest.mark.slow
class TestF:
    def setup_class(cls):
        cls.one = 1

    @pytest.mark.parametrize("a", [1])
    def test_a(self, a):
        assert f(a) == 0

    def test_a(self, *, numbers):
        assert [f(n) for n in numbers()] == [2 + self.one]

@pytest.mark.skip
class TestG:
    def test_a(self):
        assert f(1) == 0

class TestH(unittest.TestCase):
    @unittest.skip("x")
    def test_a(self):
        self.assertEqual(f(1), 0)

    def test_b(self):
        self.assertEqual(f(3), math.floor(4.5))
"""


@pytest.mark.parametrize("text", [PARAMETERS, FIXTURES, REPLACED])
def test_parameters_and_fixtures_are_run_as_pytest_runs_them(text: str) -> None:
    """Without pytest, which no sandbox needs to have then; each wrong program fails one case alone."""
    (found,) = written_cases(text)
    assert isinstance(found, AssertTest)
    assert (found.names, "import pytest" in found.code) == (("f",), False)
    exec(found.code, {"f": lambda n: n + 1})
    for wrong in (1, 2, 3):
        with pytest.raises(AssertionError):
            exec(found.code, {"f": lambda n, wrong=wrong: n + 1 + (n == wrong)})


NUMBERS = [0, 1, -1.0, 1 + 1e-7, 1 + 1e-5, 1e-13, 1e13, True, 2j, None, "1", float("inf"), -float("inf"), float("nan")]


@pytest.mark.parametrize("settings", [{}, {"rel": 1e-3}, {"abs": 1e-4}, {"rel": 1e-9, "abs": 1e-5}, {"nan_ok": True}])
def test_what_is_near_is_what_pytest_calls_near(settings: dict[str, Any]) -> None:
    values = [*NUMBERS, [1, 2], (1, 2 + 1e-8), [1], {"a": 1}, {"a": 1 + 1e-8}, {"b": 1}, [1, "a"], [], {}]
    for expected in values:
        if "rel" in settings and not isinstance(expected, (int, float, complex)):
            continue  # pytest 9 refuses some
        ours, theirs = plain_pytest.pytest.approx(expected, **settings), pytest.approx(expected, **settings)
        for actual in values:
            assert (actual == ours, actual != ours) == (actual == theirs, actual != theirs), (actual, expected)
    for refused in ({1, 2}, [[1]], {"a": [1]}):
        with pytest.raises(TypeError):
            plain_pytest.pytest.approx(refused)
    assert plain_pytest.pytest.approx(1, rel=0.1) == 1.09, "by hand: .1 of 1"
    assert plain_pytest.pytest.approx(1, abs=0.1, rel=0) != 1.2


def test_names_of_pytest_under_any_name() -> None:
    text = "import pytest as pt\nfrom pytest import approx\npytestmark = [pt.mark.slow]\nassert f(1) == approx(2)"
    (found,) = written_cases(text)
    assert isinstance(found, AssertTest)
    assert (found.code, found.names) == ("assert f(1) == pytest.approx(2)", ("f",))
    exec(found.setup + found.code, {"f": lambda n: n + 1 + 1e-9})
    (own,) = written_cases("import pytest\ndef test_a():\n    with pytest.raises((Low, KeyError)):\n        f(1)")
    assert isinstance(own, AssertTest)
    assert (own.names, own.setup.startswith("class Low(Exception)")) == (("f",), True)
    for asked in ("pytest.skip('x')", "pytest.importorskip('x')"):
        (found,) = written_cases(f"import pytest\ndef test_a():\n    {asked}\n    assert f(1) == 1")
        assert isinstance(found, AssertTest)
        assert found.setup.strip() == "import pytest", "the package is asked for"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("async def test_a():\n    assert f(1) == 1", "test_a is asynchronous"),
        (
            "class TestF:\n    def test_a(self, x):\n        assert f(x) == x",
            "test_a asks for 'x', which is no parameter",
        ),
        ("def test_a(capsys):\n    assert f(1) == 1", "test_a asks for 'capsys', which is no parameter and no fixture"),
        ("class F(unittest.TestCase):\n    def test_a(self, x):\n        assert f(x) == x", "test_a takes arguments"),
        ("def setup_module():\n    pass\ndef test_a():\n    assert f(1) == 1", "setup_module is what only pytest"),
        ("@pytest.mark.parametrize('a', [1], indirect=True)\n{}", "the parameters of test_a are given in a way"),
        ("@pytest.mark.parametrize('z', [1])\n{}", "the parameters of test_a are given in a way"),
        ("@pytest.mark.parametrize(NAMES, [1])\n{}", "the parameters of test_a are given in a way"),
        ("@pytest.mark.parametrize('a', [pytest.param(1, marks=pytest.mark.xfail)])\n{}", "the parameters of test_a"),
        ("@pytest.mark.parametrize('a', [])\n{}", "the parameters of test_a are given in a way"),
        ("@pytest.mark.parametrize(5, [1])\n{}", "the parameters of test_a are given in a way"),
        ("@pytest.mark.parametrize([['a']], [1])\n{}", "the parameters of test_a are given in a way"),
        ("@pytest.mark.parametrize({{[]: 1}}, [1])\n{}", "the parameters of test_a are given in a way"),
        ("CASES = [pytest.param(1)]\n@pytest.mark.parametrize('a', CASES)\n{}", "pytest.param stands where only"),
        ("@pytest.mark.xfail\n{}", "test_a has xfail, which only what runs tests can keep"),
        ("pytestmark = pytest.mark.skipif(1, reason='x')\n{}", "pytestmark has skipif, which only pytest itself"),
        ("def test_a():\n    with pytest.warns(UserWarning):\n        assert f(1)", "pytest.warns stands where only"),
        ("from pytest import *\n{}", "it imports whatever pytest has"),
        (
            "from pytest import raises\nraises = f(1)\ndef test_a():\n    assert raises",
            "'raises' is imported from pytest",
        ),
        (
            "@pytest.mark.usefixtures('a')\nclass TestF:\n    def test_a(self):\n        assert f(1)",
            "TestF has usef",
        ),
        ("class F(TestCase):\n    @unittest.skipIf(1, 'x')\n    def test_a(self):\n        assert f(1)", "has skipIf"),
        ("def test_a():\n    assert f(1) == 1\n    yield", "test_a is asynchronous or yields"),
        ("def f(n):\n    return n\ndef test_a():\n    assert f(1) == 1", "it uses nothing that the program defines"),
        ("def test_a():\n    assert f(1) == " + "-" * 200_000 + "1", "it is nested too deeply"),
        ("@pytest.fixture(scope='module')\ndef a():\n    return 1\n{}", "fixture 'a' has settings"),
        ("@pytest.fixture(autouse=True)\ndef b():\n    return 1\n{}", "fixture 'b' has settings"),
        ("@pytest.fixture\ndef a(b):\n    return 1\n@pytest.fixture\ndef b(a):\n    return 1\n{}", "b asks for 'a'"),
        ("class TestF:\n    @pytest.fixture\n    def a(self):\n        return 1\n{}", "class TestF has fixtures"),
    ],
)
def test_what_only_pytest_can_run_is_refused(text: str, told: str) -> None:
    with pytest.raises(SyntaxError, match=told):
        written_cases("import pytest\n" + text.format("def test_a(a):\n    assert f(a) == 1"))
