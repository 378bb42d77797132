"""Code problems as data sets lay them out, each told from its columns and judged with a right and a wrong program."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.records import Message
from r1kit.sandbox import AssertTest, CallTest, StdinTest
from r1kit.tasks import build, settings
from r1kit.tasks.code import CodeConfig, CodeFile
from r1kit.tasks.code.files.contests import opened_tests

ADD = "a, b = map(int, input().split())\nprint(a + b)"
PAIRS = [{"input": "1 2\n", "output": "3\n"}, {"input": "5 -5\n", "output": "0\n"}]
SUMS = (StdinTest("1 2\n", "3\n"), StdinTest("5 -5\n", "0\n"))
CALLS = (CallTest("pairs([1, 2], 3)", [2, 4, 3]), CallTest("pairs([], 0)", [0]))
FUNCTION = "def pairs(xs: List[int], k: int) -> List[int]:\n    return [2 * x for x in xs] + [k]\n"
PAIR = "class Solution:\n    " + FUNCTION.replace("xs:", "self, xs:").replace("    return", "        return")
INOUT = {"fn_name": "pairs", "inputs": [[[1, 2], 3], [[], 0]], "outputs": [[2, 4, 3], [0]]}
ASK = "Add two numbers."


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(value)))).decode()


LCB = [{**pair, "testtype": "stdin"} for pair in PAIRS]
FUNCTIONAL = [
    {"input": "[1, 2]\n3", "output": "[2, 4, 3]", "testtype": "functional"},
    {"input": "[]\n0", "output": "[0]", "testtype": "functional"},
]
ROWS: dict[str, tuple[dict[str, Any], tuple[Any, ...], str]] = {
    "pairs": ({"prompt": ASK, "tests": PAIRS}, SUMS, ADD),
    "pairs as text": (
        {"problem": ASK, "tests": json.dumps([{**pair, "type": "stdin_stdout"} for pair in PAIRS])},
        SUMS,
        ADD,
    ),
    "APPS": (
        {
            "problem_id": 3,
            "question": ASK,
            "solutions": "[]",
            "starter_code": "",
            "difficulty": "interview",
            "url": "",
            "input_output": json.dumps({"inputs": ["1 2\n", "5 -5\n"], "outputs": ["3\n", "0\n"]}),
        },
        SUMS,
        ADD,
    ),
    "TACO, lines": (
        {
            "question": ASK,
            "input_output": json.dumps({"inputs": [["1 2", ""], ["5 -5", ""]], "outputs": [["3", ""], ["0", ""]]}),
        },
        SUMS,
        ADD,
    ),
    "APPS, class Solution": (
        {
            "question": "Pairs.",
            "starter_code": "class Solution:\n    def pairs(self, xs, k):\n        ",
            "input_output": json.dumps(INOUT),
        },
        CALLS,
        PAIR,
    ),
    "LiveCodeBench": (
        {
            "question_title": "Add",
            "question_content": ASK,
            "question_id": "1",
            "starter_code": "",
            "metadata": "{}",
            "public_test_cases": json.dumps(LCB[:1]),
            "private_test_cases": packed(LCB[1:]),
        },
        SUMS,
        ADD,
    ),
    "LiveCodeBench, functional": (
        {
            "question_content": "Pairs.",
            "starter_code": "class Solution:\n    def pairs(self, xs, k):",
            "metadata": '{"func_name": "pairs"}',
            "public_test_cases": json.dumps(FUNCTIONAL[:1]),
            "private_test_cases": packed(FUNCTIONAL[1:]),
        },
        CALLS,
        PAIR,
    ),
    "CodeContests": (
        {
            "name": "1_A",
            "description": ASK,
            "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
            "private_tests": {"input": [], "output": []},
            "generated_tests": {"input": ["5 -5\n"], "output": ["0\n"]},
            "solutions": {"language": [3], "solution": [ADD]},
        },
        SUMS,
        ADD,
    ),
    "codeforces": ({"id": "1/A", "description": ASK, "official_tests": PAIRS, "language": "python"}, SUMS, ADD),
    "open-r1": (
        {
            "prompt": ASK,
            "gold_standard_solution": ADD,
            "verification_info": json.dumps(
                {
                    "language": "python",
                    "test_cases": [{**pair, "fn_name": None, "type": "stdin_stdout"} for pair in PAIRS],
                }
            ),
        },
        SUMS,
        ADD,
    ),
    "open-r1, function": (
        {
            "prompt": "Pairs.",
            "verification_info": {
                "language": "python",
                "test_cases": [
                    {"fn_name": "pairs", "input": [[1, 2], 3], "output": [2, 4, 3], "type": "function_call"},
                    {"fn_name": "pairs", "input": [[], 0], "output": [0], "type": "function_call"},
                ],
            },
        },
        CALLS,
        FUNCTION,
    ),
    "verl": (
        {
            "data_source": "taco",
            "prompt": [{"role": "system", "content": "Code."}, {"role": "user", "content": ASK}],
            "ability": "code",
            "reward_model": {
                "style": "rule",
                "ground_truth": json.dumps({"inputs": ["1 2\n", "5 -5\n"], "outputs": ["3\n", "0\n"]}),
            },
            "input_output": None,
            "tests": None,
        },
        SUMS,
        ADD,
    ),
}


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "code") for name in ROWS), ("CodeContests", "code/stdio"), ("APPS", "code/stdio")]
)
def test_each_layout_is_read_and_judged(name: str, kind: str, tmp_path: Path) -> None:
    row, tests, right = ROWS[name]
    path = write(tmp_path / "rows.jsonl", row)
    one = build("mine", kind, {"path": path, "test_path": path})
    assert isinstance(one, CodeFile)
    (prompt,) = one.held_out("test")
    assert one._problem(prompt).tests == tests
    assert row.get("question", ASK if tests == SUMS else "Pairs.") in prompt.question
    assert prompt.language == "en"
    assert prompt.history == ((Message(role="system", content="Code."),) if name == "verl" else None)
    assert one.grade(prompt, f"```python\n{right}\n```").correct == 1
    assert one.grade(prompt, f"```python\n{right.replace('+', '-').replace('2 * x', 'x')}\n```").correct == 0
    one.judge.close()


def test_where_every_value_is_a_list_of_one_either_is_right(tmp_path: Path) -> None:
    row = {"question": "q", "input_output": {"fn_name": "f", "inputs": [[1], [5]], "outputs": [[2], [6]]}}
    one = CodeFile("x", CodeConfig(path=(path := write(tmp_path / "r.jsonl", row)), test_path=path))
    (prompt,) = one.held_out("test")
    for body, right in (("x + 1", 1), ("[x + 1]", 1), ("[[x + 1]]", 0), ("x", 0)):
        assert one.grade(prompt, f"def f(x):\n    return {body}").correct == right
    one.judge.close()


LEET = {
    "task_id": "sum",
    "problem_description": "Sum.",
    "starter_code": "class Solution:\n    def total(self, xs: List[int]) -> int:\n        ",
    "prompt": "from typing import *\n\ndef node(x):\n    return [x]\n",
    "completion": "class Solution:\n    def total(self, xs: List[int]) -> int:\n        return sum(xs)\n",
    "entry_point": "Solution().total",
    "test": "def check(candidate):\n    assert candidate(xs = [1, 2]) == 3\n    assert candidate(xs = []) == 0\n",
}


def test_a_method_of_leetcode_s(tmp_path: Path) -> None:
    """What gives the program objects would be wrong whatever it does."""
    one = CodeFile("x", CodeConfig(path=(path := write(tmp_path / "r.jsonl", LEET)), test_path=path))
    (prompt,) = one.held_out("test")
    assert prompt.question.startswith("Sum.\n\nBegin with this:\n```python\nclass Solution:\n    def total(self")
    assert [one.grade(prompt, answer).correct for answer in (prompt.answer or "", "def total(xs):\n    return 3")] == [
        1,
        0,
    ]
    one.judge.close()
    nodes = {**LEET, "test": "def check(candidate):\n    assert same(candidate(node(1)), node(1))\n"}
    with pytest.raises(
        InputError, match="'test' holds more than calls with a value to expect; objects cannot be given"
    ):
        CodeFile("x", CodeConfig(path=(path := write(tmp_path / "n.jsonl", nodes)), test_path=path))


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Sum.", "test_cases": ["assert total([1, 2]) == 3", "assert total([]) in (0,)"]},
        {"question": "Sum.", "tests": json.dumps(["assert total([1, 2]) == 3", "assert not total([])"])},
        {"question": "Sum.", "tests": "assert total([1, 2]) == 3\nassert total([]) == 0\n"},
        {"input": "Sum.", "output": "def total", "unit_tests": json.dumps(["\nassert total([1, 3]) == 4"])},
        {"prompt": "Sum.", "reward_model": {"ground_truth": json.dumps(["assert total([1, 2, 3]) == 6"])}},
        {"question": "Sum.", "entry_point": "total", "test_cases": [{"input": [[1, 3]], "expected": 4}]},
        {
            "question": "Sum.",
            "solution": "def total(xs): return sum(xs)",
            "test": "from solution import total\n\ndef test_two():\n    assert total([1, 2]) == 3\n\n"
            "def test_none():\n    assert total([]) == 0\n",
        },
        {
            "question": "Sum.",
            "solution": "def total(xs): return sum(xs)",
            "test": "import pytest\nfrom solution import total\n\n@pytest.fixture\ndef none():\n    yield []\n\n"
            "@pytest.mark.parametrize('xs, wanted', [([1, 2], 3), pytest.param([4], 4)])\n"
            "def test_sums(xs, wanted, none):\n    assert total(xs) == wanted\n    assert total(none) == 0\n",
        },
        {
            "question": "Sum.",
            "solution": "def total(xs): return sum(xs)",
            "test": "from pytest import approx, raises as waits\nimport pytest as pt\nfrom solution import total\n\n"
            "def test_sums():\n    assert total([0.1, 0.2]) == approx(0.3)\n    with waits(TypeError, match='int'):\n"
            "        total(['a'])\n    with pt.raises((KeyError, TypeError)) as caught:\n        total(3)\n"
            "    assert caught.type is TypeError and 'iterable' in str(caught.value)\n",
        },
    ],
)
def test_tests_written_in_python(row: dict[str, Any], tmp_path: Path) -> None:
    one = CodeFile("x", CodeConfig(path=(path := write(tmp_path / "r.jsonl", row)), test_path=path))
    (prompt,) = one.held_out("test")
    assert prompt.question == "Sum.\n\nAnswer with a Python program that defines total."
    assert one.grade(prompt, "def total(xs):\n    return sum(xs)").correct == 1
    forged = "class Y(int):\n    __eq__ = lambda *_: True\ntotal = lambda xs: Y()"
    for wrong in ("def total(xs):\n    return 3", forged):
        assert one.grade(prompt, wrong).correct == 0
    one.judge.close()


RAISING = """class Low(ValueError):
    pass

def f(x):
    if x < 0:
        raise Low(f"{x} is low")
    if x > 9:
        {"a": 1}["x"]
    if x == 9:
        raise SystemExit(3)
    return x
"""
WAITING = """import pytest, unittest
from solution import f, Low

class TestF(unittest.TestCase):
    def test_low(self):
        with self.assertRaisesRegex(Low, "is low"):
            f(-1)

@pytest.mark.parametrize("error", [ValueError, Exception])
def test_low(error):
    with pytest.raises(error, match="-1 is l.w") as caught:
        f(-1)
    assert (str(caught.value), caught.typename) == ("-1 is low", "Low")
    try:
        f(-2)
        pytest.fail("it takes what is low")
    except Low:
        pass

def test_built_in():
    with pytest.raises(expected_exception=KeyError) as caught:
        f(10)
    assert caught.type is KeyError and caught.value.args == ("x",) and str(caught.value) == "'x'"
    assert pytest.raises(SystemExit, f, 9).value.code == 3
"""


def test_errors_cross_from_the_program_with_their_names_and_what_they_say(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"question": "Low.", "solution": RAISING, "test": WAITING})
    one = CodeFile("x", CodeConfig(path=path, test_path=path))
    (prompt,) = one.held_out("test")
    assert one.grade(prompt, RAISING).correct == 1
    for old, new in (
        ("is low", "is bad"), ("raise Low", "raise KeyError"), ("raise Low", "return"),
        ("(ValueError)", "(IndexError)"),
        ('{"a": 1}["x"]', 'raise KeyError("y")'), ("SystemExit(3)", "SystemExit(4)"), ("raise SystemExit(3)", "pass"),
        ("raise Low", "import os; os._exit"),
    ):  # fmt: skip
        assert one.grade(prompt, RAISING.replace(old, new)).correct == 0, new
    one.judge.close()


def test_a_program_that_ends_its_process_passes_nothing_whatever_a_test_catches(tmp_path: Path) -> None:
    test = "def test_a():\n    try:\n        f(1)\n    except BaseException:\n        return\n    assert False\n"
    path = write(tmp_path / "r.jsonl", {"question": "Raise.", "test": test})
    one = CodeFile("x", CodeConfig(path=path, test_path=path))
    (prompt,) = one.held_out("test")
    assert one.grade(prompt, "def f(x):\n    raise ValueError").correct == 1
    assert one.grade(prompt, "import os\ndef f(x):\n    os._exit(0)").correct == 0
    one.judge.close()


def test_plus_sets_run_their_own_checks(tmp_path: Path) -> None:
    check = "def check(candidate):\n    for x, y in zip([[1], [2, 3]], [1, 5]):\n        assert candidate(x) == y, x\n"
    plus = [
        {
            "task_id": "HumanEval/0",
            "prompt": "def total(xs):\n",
            "entry_point": "total",
            "canonical_solution": "",
            "test": check,
        },
        {
            "task_id": 2,
            "prompt": "Sum.",
            "code": "def total(xs):\n    return sum(xs)",
            "test_imports": [],
            "test_list": ["assert total([1]) == 1"],
            "test": "for x in ([], [4, 4]):\n    assert total(x) == 8 * bool(x)\n",
        },
    ]
    path = write(tmp_path / "plus.jsonl", *plus)
    one = CodeFile("x", CodeConfig(path=path, test_path=path))
    human, mbpp = one.held_out("test")
    assert [type(test) for test in one._problem(mbpp).tests] == [CallTest, AssertTest]
    for prompt in (human, mbpp):
        assert one.grade(prompt, "def total(xs):\n    return sum(xs)").correct == 1
        assert one.grade(prompt, "def total(xs):\n    return xs[0]").correct == 0
    assert one.about() == [
        f"2 problems from {path}",
        "tests: 1 to 2 a problem, 3 in all",
        "asks for: functions in 2, programs that read and print in 0",
    ]
    one.judge.close()


class Evil:
    def __reduce__(self) -> Any:
        return print, ("a pickle was run",)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode(),
            "a pickle of more than one text .*; it is not opened",
        ),
        (base64.b64encode(zlib.compress(pickle.dumps(["a"]))).decode(), "a pickle of more than one text"),
        (base64.b64encode(zlib.compress(pickle.dumps(1))).decode(), "a pickle of more than one text"),
        (base64.b64encode(zlib.compress(b"\x80\x04")).decode(), "not a pickle"),
        (base64.b64encode(b"no zlib").decode(), "not JSON"),
        ("not base64 !", "not JSON"),
        ("[" * 100000, "not JSON|nested too deep"),
    ],
)
def test_packed_tests_are_opened_without_running_a_pickle(
    value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=told):
        opened_tests(value)
    assert capsys.readouterr().out == ""
    assert opened_tests(packed(LCB)) == LCB
    assert opened_tests(base64.b64encode(zlib.compress(b'["plain"]')).decode()) == ["plain"]
    for protocol in range(2, 6):
        text = base64.b64encode(zlib.compress(pickle.dumps('["é"]', protocol))).decode()
        assert opened_tests(text) == ["é"]


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1kit.tasks.code.files.contests.LARGEST", 1000)
    with pytest.raises(ValueError, match="more than 0 MB unpacked"):
        opened_tests(base64.b64encode(zlib.compress(bytes(5000))).decode())


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "p", "tests": 3}, "r.jsonl:1: 'tests' cannot be used: must be a list of tests, got 3"),
        ({"prompt": "p", "tests": ["a"]}, "'tests' cannot be used: a test is an object"),
        ({"prompt": "p", "tests": "assert f(1"}, "'tests' cannot be used: '\\(' was never closed"),
        ({"prompt": "p", "tests": "def test_a(x):\n    assert f(x)"}, "'tests' cannot be used: test_a asks for 'x'"),
        ({"prompt": "p", "tests": "no JSON"}, "'tests' cannot be used: not JSON"),
        (
            {"prompt": "p", "input_output": {"inputs": ["a"], "outputs": []}},
            "'input_output' cannot be used: 1 inputs and 0 out",
        ),
        ({"prompt": "p", "verification_info": {"language": "python"}}, "no inputs and outputs in it; it has language"),
        ({"question": "p", "public_tests": {"input": [], "output": []}}, "'public_tests' holds no test"),
        ({"tests": PAIRS}, "no 'prompt'"),
        ({"prompt": "p", "tests": [*PAIRS, {"call": "f()", "expect": 1}]}, "tests are all calls or all standard input"),
    ],
)
def test_rows_that_cannot_be_used_are_told(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", row)
    with pytest.raises(InputError, match=told):
        CodeFile("x", CodeConfig(path=path, test_path=path))
    good = {"prompt": ASK, "tests": PAIRS}
    both = write(tmp_path / "both.jsonl", row, good)
    one = CodeFile("x", CodeConfig(path=both, test_path=both, bad_lines="skip"))
    assert len(one.held_out("test")) == 1
    assert one.about()[1].startswith("1 bad line skipped: ")


def test_columns_and_formats_are_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"ask": {"text": ASK}, "tests": PAIRS})
    one = CodeFile("x", CodeConfig(path=path, test_path=path, columns={"prompt": "ask.text"}))
    assert one.held_out("test")[0].question.startswith(ASK)
    assert settings("t", "code", {"path": path}).format == "auto"
    assert settings("t", "code", {"path": path, "format": "apps"}).format == "apps"
    assert settings("t", "code/mbpp", {"path": path}).format == "mbpp"
    with pytest.raises(InputError, match=r"tasks.t.format = 'app': .* Did you mean 'apps'"):
        settings("t", "code", {"path": path, "format": "app"})
