import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.files import Line
from r1kit.sandbox import CallTest, SandboxSettings, StdinTest
from r1kit.tasks.code import CodeConfig, CodeFile
from r1kit.tasks.code.files.formats import PARSERS
from r1kit.tasks.code.files.problem import assembled
from tests.tasks.code.conftest import Counting

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """Sum of the list."""\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(xs)\n",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n",
}
MBPP = {
    "task_id": 2,
    "text": "Write a function to double a number.",
    "code": "def twice(x):\n    return 2 * x",
    "test_list": ["assert twice(2) == 4", "assert twice(-1) == -2"],
    "test_setup_code": "",
    "challenge_test_list": ["assert twice(0) == 0"],
}
STDIO = {
    "id": "sum",
    "prompt": "Read numbers and print their sum.",
    "tests": [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "\n", "stdout": "0\n"}],
    "answer": "print(sum(map(int, input().split())))",
}
BUGFIX = {
    "program": "def biggest(xs):\n    return min(xs)",
    "failing": [{"call": "biggest([1, 2])", "expect": 2}],
    "tests": [{"call": "biggest([3, 1])", "expect": 3}, {"call": "biggest([5])", "expect": 5}],
    "answer": "def biggest(xs):\n    return max(xs)",
}
LINES: dict[str, dict[str, Any]] = {"humaneval": HUMANEVAL, "mbpp": MBPP, "stdio": STDIO, "bugfix": BUGFIX}


def parse(form: str, **changes: Any) -> Any:
    table = {key: value for key, value in {**LINES[form], **changes}.items() if value is not None}
    return PARSERS[form](Line("f.jsonl:7", 7, table), "code", "code/")


def write(path: Path, *lines: object) -> str:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def task(path: str, form: Any, **settings: Any) -> CodeFile:
    return CodeFile("code", CodeConfig(format=form, path=path, test_path=path, **settings))


def test_humaneval_by_hand() -> None:
    problem = parse("humaneval")
    assert problem.prompt.id == "HumanEval/0"
    assert problem.prompt.question == (
        "Complete this Python function. Answer with the whole function.\n\n```python\nfrom typing import List\n\n\n"
        'def total(xs: List[int]) -> int:\n    """Sum of the list."""\n```'
    )
    assert problem.tests == (CallTest("total([1, 2])", 3, True), CallTest("total([])", 0, True))
    whole = "def total(xs: List[int]) -> int:\n    return 3"
    assert assembled(problem, whole) == f"from typing import List\n\n{whole}"
    assert assembled(problem, "    return 3") == HUMANEVAL["prompt"] + "    return 3"
    looping = parse(
        "humaneval", test="def check(candidate):\n    for x in range(3):\n        assert candidate([x]) == x\n"
    )
    (check,) = looping.tests
    assert (check.names, check.setup) == (("total",), "from typing import List\n\n\n")
    assert check.code.endswith("assert candidate([x]) == x\n\n\ncheck(total)")


def test_mbpp_shows_its_first_assert_alone() -> None:
    problem = parse("mbpp")
    assert problem.prompt.id == "code/2"
    assert problem.prompt.question == (
        "Write a function to double a number. Answer with Python.\n\nFor example:\n```python\nassert twice(2) == 4\n```"
    )
    assert problem.tests == (
        CallTest("twice(2)", 4, True), CallTest("twice(-1)", -2, True), CallTest("twice(0)", 0, True),
    )  # fmt: skip
    sanitized = parse("mbpp", text=None, prompt="Double it.", test_imports=["import math"], challenge_test_list=None)
    assert sanitized.before == "import math"
    assert sanitized.prompt.question.startswith("Double it. Answer")


def test_stdio_and_bugfix_by_hand() -> None:
    stdio, bugfix = parse("stdio"), parse("bugfix")
    assert stdio.tests == (StdinTest("1 2\n", "3\n"), StdinTest("\n", "0\n"))
    assert stdio.prompt.question.endswith("Answer with a Python program that reads standard input and prints.")
    assert bugfix.prompt.id == "code/7"
    assert bugfix.prompt.question == (
        "This Python program has a bug. Mend it, and answer with the whole program.\n\n```python\n"
        "def biggest(xs):\n    return min(xs)\n```\n\nThese tests fail:\nbiggest([1, 2]) should give 2"
    )
    assert len(bugfix.tests) == 3
    assert "biggest([3, 1])" not in bugfix.prompt.question


@pytest.mark.parametrize("form", LINES)
def test_right_and_wrong_programs_behind_the_walls(form: str, tmp_path: Path) -> None:
    one = task(write(tmp_path / "f.jsonl", LINES[form]), form)
    (prompt,) = one.held_out("test")
    assert prompt.answer
    assert one.grade(prompt, prompt.answer).correct == 1
    in_block = f"<think> hm </think> <answer>\n```python\n{prompt.answer}\n```\n</answer>"
    assert one.grade(prompt, in_block).correct == 1
    assert one.grade(prompt, in_block).canonical == one.grade(prompt, prompt.answer).canonical
    assert one.diagnose(prompt, in_block)["answer_right"] == 1
    assert one.diagnose(prompt, f"<answer>{prompt.answer}</answer>")["answer_right"] == 1
    assert one.diagnose(prompt, "I do not know")["block"] == 0
    assert one.grade(prompt, "pass").correct == 0
    assert one.grade(prompt, "no Python").correct == 0
    broken = one.diagnose(prompt, "```python\nraise ValueError\n```")
    assert (broken["block"], broken["lint"], broken["runs"], broken["answer_right"]) == (1, 1, 0, 0)
    one.judge.close()


def test_a_body_alone_completes_a_humaneval_prompt(tmp_path: Path, trusting: list[Counting]) -> None:
    one = task(write(tmp_path / "f.jsonl", HUMANEVAL), "humaneval")
    (prompt,) = one.held_out("test")
    assert one.grade(prompt, "    return sum(xs)").correct == 1
    assert one.grade(prompt, "```python\n    return len(xs)\n```").correct == 0


@pytest.mark.parametrize(
    ("test", "right", "wrong"),
    [
        ("x = [3, 1]\ngive(x)\nassert x == [1, 3]", "def give(x):\n    x.sort()", "def give(x):\n    return sorted(x)"),
        (
            "one = Give()\none.add(3)\nassert one.last() == 3",
            "class Give:\n    def add(self, x):\n        self.x = x\n    def last(self):\n        return self.x",
            "class Give:\n    def add(self, x):\n        pass\n    def last(self):\n        return None",
        ),
        ("import math\nassert math.isclose(give(2), 1.41421, rel_tol=1e-5)", "def give(x):\n    return x ** .5",
         "def give(x):\n    return 1.4"),
    ],
)  # fmt: skip
def test_an_assert_may_be_prepared(test: str, right: str, wrong: str, tmp_path: Path) -> None:
    one = task(
        write(tmp_path / "f.jsonl", {**MBPP, "test_list": [test], "challenge_test_list": [], "code": right}), "mbpp"
    )
    (prompt,) = one.held_out("test")
    assert [one.grade(prompt, f"```python\n{each}\n```").correct for each in (right, wrong)] == [1, 0]
    one.judge.close()


LOOP = "def check(candidate):\n    for x in ([], [1], [2, 3]):\n        assert candidate(x) == sum(x)\n"
HEAD = 'from typing import List\n\n\ndef total(xs: List[int], start: int = 0) -> int:\n    """Sum."""\n'
EQUAL = """```python
class C(int):
    def __eq__(self, o):
        return True
    __hash__ = int.__hash__
def total(xs, start=0):
    return C()
```"""


ANSWERS = [
        ("\n    for x in xs:\n        start += x\n    return start\n", True),
        ("for x in xs:\n        start += x\n    return start", True),  # the first line's indentation is lost
        ("for x in xs:\n    start += x\nreturn start", True),
        ("```python\n    for x in xs:\n        start += x\n    return start\n```", True),
        ("```python\ndef total(xs: List[int], start: int = 0) -> int:\n    return start + sum(xs)\n```\n\n"
         "For example:\n\n```python\nprint(total([1, 2]))\n```", True),
        ("The function:\n\ndef total(xs, start=0):\n    return sum(xs, start)\n\nIt adds them.", True),
        ("total = lambda xs, start=0: sum(xs)", True),
        ("import numpy\ndef total(xs):\n    return numpy.sum(xs)", False),
        (EQUAL, False), ("    return len(xs)", False), ("", False), ("sum(xs)", False),
]  # fmt: skip


@pytest.mark.parametrize("test", [LOOP, HUMANEVAL["test"]])
def test_answers_to_humaneval(test: str, judged: Any) -> None:
    one, prompt = judged({**HUMANEVAL, "prompt": HEAD, "test": test}, "humaneval")
    for answer, right in ANSWERS:
        assert one.grade(prompt, answer).correct == right, answer
        for text in (f"<think>a</think><answer>{answer}</answer>", f"<think>\n```python\nx\n```\n</think>\n{answer}"):
            assert one.diagnose(prompt, text)["answer_right"] == right, f"not the program of the grade: {answer}"


PAIRS = [
    ("```python\ndef pair(x):\n    return [x, x]\n```", False),
    ("```python\ndef pair(x):\n    return (x, x)\n```", True),
    (
        "```python\nfrom collections import namedtuple\nP = namedtuple('P', 'a b')\n"
        "def pair(x):\n    return P(x, x)\n```",
        True,
    ),
    ("```python\nclass T(tuple):\n    __eq__ = lambda *_: True\ndef pair(x):\n    return T()\n```", False),
]


def test_an_assert_with_a_tuple_wants_a_tuple(judged: Any) -> None:
    line = {**MBPP, "test_list": ["assert pair(1) == (1, 1)", "assert pair(2) in ((2, 2), (4, 4))"]}
    one, prompt = judged({**line, "challenge_test_list": [], "code": "def pair(x):\n    return (x, x)"}, "mbpp")
    for answer, right in PAIRS:
        assert one.grade(prompt, answer).correct == right, answer
        assert one.diagnose(prompt, f"<think>a</think><answer>{answer}</answer>")["answer_right"] == right, answer


def test_what_a_right_program_imports_the_tests_import_themselves(judged: Any) -> None:
    code = "from collections import Counter\nimport math, heapq\ndef count(xs):\n    return Counter(xs)"
    asserts = ["assert count('aab') == Counter('aab')", "assert math.isclose(count('a')['a'], 1) and not count('')"]
    one, prompt = judged({**MBPP, "test_list": asserts, "code": code, "challenge_test_list": []}, "mbpp")
    assert one.grade(prompt, code).correct == 1
    assert one.grade(prompt, "def count(xs):\n    return {x: xs.count(x) for x in xs}").correct == 1
    forged = "import math\nmath.isclose = lambda *_: True\nCounter = lambda xs: []\ncount = Counter"
    assert one.diagnose(prompt, forged)["tests_passed"] == 0


def test_what_tests_may_do_with_a_program(judged: Any) -> None:
    """Classes, changed arguments, errors that are expected, its own helpers, a function called as a built-in one."""
    asserts = [
        "assert Box([1]).add(2).items == [1, 2] and len(Box([3])) == 1 and Box([4])[0] == 4 and list(Box([5])) == [5]",
        "assert [x := [1], sum(x), x][2] == [1, 0] and str(Box([1])) == 'Box'",
        "assert sum([1]) == 1 or helper(sum([1])) == 0",
        "assert helper(sum(xs=[2])) == sum([2], ) and raises()",
    ]
    setup = "def helper(x):\n    return x\n"
    setup += "def raises():\n    try:\n        sum(3)\n    except AttributeError:\n        return True"
    code = (
        "class Box:\n    def __init__(self, items):\n        self.items = items\n    def add(self, x):\n"
        "        self.items.append(x)\n        return self\n    def __len__(self):\n        return len(self.items)\n"
        "    def __getitem__(self, at):\n        return self.items[at]\n    def __str__(self):\n        return 'Box'\n"
        "def sum(xs):\n    xs.append(0)\n    return xs[0]\n"
    )
    line = {**MBPP, "test_list": asserts, "test_setup_code": setup, "code": code, "challenge_test_list": []}
    one, prompt = judged(line, "mbpp")
    assert one.diagnose(prompt, code)["tests_passed"] == 1
    assert one.diagnose(prompt, code.replace("xs[0]", "Box(xs)"))["tests_passed"] == 0.5, (
        "no plain data: the last two fail"
    )


@pytest.fixture
def judged(tmp_path: Path) -> Any:
    made: list[CodeFile] = []

    def build(line: dict[str, Any], form: str) -> Any:
        made.append(task(write(tmp_path / "f.jsonl", line), form))
        return made[-1], made[-1].held_out("test")[0]

    yield build
    for one in made:
        one.judge.close()


def test_parts_are_disjoint_and_a_file_alone_is_its_own_test_split(tmp_path: Path) -> None:
    lines = [{**STDIO, "id": f"p{number}", "prompt": f"Print {number} plus one."} for number in range(200)]
    path = write(tmp_path / "f.jsonl", *lines, {**lines[0], "id": "again", "prompt": " print 0 PLUS one. "})
    split = CodeFile("code", CodeConfig(format="stdio", path=path, dev_share=0.1, test_share=0.2))
    dev, test = split.held_out("dev"), split.held_out("test")
    train = [split.train(index) for index in range(201 - len(dev) - len(test))]
    assert len({prompt.question.strip().casefold() for prompt in (*train, *dev, *test)}) == 200
    assert len(test) == pytest.approx(40, abs=18)
    whole = task(path, "stdio")
    assert len(whole.held_out("test")) == 201
    with pytest.raises(InputError, match="every problem is in the test split"):
        whole.train(0)


@pytest.mark.parametrize(
    ("form", "lines", "told"),
    [
        ("stdio", ["", " "], "f.jsonl: no rows"),
        ("stdio", ['{"prompt": '], "f.jsonl:1: not valid JSON"),
        ("stdio", ["", "[1]"], r"f.jsonl:2: expected a JSON object with .*, got 1"),
        (
            "stdio",
            [STDIO, {"prompt": "a"}],
            "f.jsonl:2: no 'tests'; a line holds 'prompt' and 'tests'; this one has 'prompt'",
        ),
        ("stdio", [{**STDIO, "tests": []}], r"f.jsonl:1: 'tests' must be a list of tests, got \[\]"),
        ("stdio", [{**STDIO, "tests": [{"stdin": "1"}]}], r"f.jsonl:1: tests\[0\]: its keys are stdin"),
        ("stdio", [{**STDIO, "tests": STDIO["tests"] + BUGFIX["tests"]}], "f.jsonl:1: tests are all calls or all"),
        ("stdio", [STDIO, STDIO], "f.jsonl:2: id 'sum' is taken by line 1"),
        ("stdio", [{**STDIO, "prompt": ["a"]}], "f.jsonl:1: 'prompt' must be text"),
        ("humaneval", [{**HUMANEVAL, "entry_point": "sum"}], "f.jsonl:1: the prompt does not define 'sum'"),
        ("humaneval", [{**HUMANEVAL, "test": "assert 1 =="}], "f.jsonl:1: 'test' cannot be used: invalid syntax"),
        ("humaneval", [{**HUMANEVAL, "test": "x = 1"}], r"f.jsonl:1: 'test' cannot be used: no check\(candidate\)"),
        ("humaneval", [{**HUMANEVAL, "test": "def check(f):\n    pass"}], "f.jsonl:1: 'test' asserts nothing"),
        ("humaneval", [{"task_id": 1, "promt": "x"}], "f.jsonl:1: no 'prompt'.*Did you mean 'promt'"),
        ("mbpp", [{**MBPP, "test_list": "assert 1"}], "f.jsonl:1: 'test_list' must be a list of strings"),
        ("mbpp", [{**MBPP, "test_list": ["twice(2)"]}], "f.jsonl:1: 'test_list' cannot be used: 'twice"),
        ("mbpp", [{**MBPP, "test_list": [], "challenge_test_list": []}], "f.jsonl:1: 'test_list' is empty"),
        ("mbpp", [{"task_id": 3, "test_list": ["assert f()"]}], "f.jsonl:1: no 'text' or 'prompt'"),
        ("bugfix", [{**BUGFIX, "failing": []}], "f.jsonl:1: 'failing' must be a list of tests"),
        ("bugfix", [{**BUGFIX, "tests": STDIO["tests"]}], "f.jsonl:1: tests are all calls or all standard input"),
        ("bugfix", [{**BUGFIX, "failing": [{"call": "f(", "expect": 1}]}], r"f.jsonl:1: failing\[0\]: call"),
    ],
)
def test_broken_files_are_told_with_their_line(form: str, lines: list[object], told: str, tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", *lines)
    with pytest.raises(InputError, match=told) as caught:
        task(path, form)
    assert "\n" not in str(caught.value)


def test_tests_beside_a_program_need_walls_of_ours(tmp_path: Path) -> None:
    path = write(
        tmp_path / "f.jsonl", MBPP, {**MBPP, "task_id": 3, "text": "b", "test_list": ["assert f(1) in (1, 2)"]}
    )
    with pytest.raises(InputError, match=r"f.jsonl:2: its tests are more than calls .* sandbox.kind = \"bubblewrap\""):
        task(path, "mbpp", sandbox=SandboxSettings(kind="fusion", url="http://127.0.0.1:9"))


def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        task(str(tmp_path / "none.jsonl"), "mbpp")
    with pytest.raises(InputError, match="code/mbpp reads a file"):
        CodeConfig(format="mbpp")
    with pytest.raises(InputError, match=r"code/mbp is unknown.*Did you mean 'mbpp'"):
        CodeConfig(format="mbp")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="together below 1"):
        CodeConfig(format="mbpp", path="x", dev_share=0.6, test_share=0.6)
