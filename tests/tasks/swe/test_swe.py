# ruff: noqa: E501
"""Repositories judged behind the walls: right edits, wrong ones, and programs that attack their tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError
from r1kit.recipe import RECIPES
from r1kit.sandbox import SandboxSettings, check_sandbox
from r1kit.tasks.swe.task import Swe, SweConfig

REPAIRS = RECIPES / "data" / "repairs.jsonl"


def walls() -> bool:
    try:
        check_sandbox(SandboxSettings())
    except MissingError:
        return False
    return True


pytestmark = pytest.mark.skipif(not walls(), reason="the sandbox is not here")
TASK = Swe("repairs", SweConfig(path=str(REPAIRS), test_path=str(REPAIRS))) if REPAIRS.is_file() else None


def problem(identity: str):  # type: ignore[no-untyped-def]
    assert TASK is not None
    return next(prompt for prompt in TASK.held_out("test") if prompt.id == identity)


def whole(path: str, text: str) -> str:
    return f"<think> hm </think>\n{path}\n```python\n{text}\n```\n"


def judged(identity: str, text: str) -> dict[str, float]:
    assert TASK is not None
    return dict(TASK.diagnose(problem(identity), text))


def test_the_problems_that_ship_are_solved_by_their_own_answers() -> None:
    assert TASK is not None
    prompts = TASK.held_out("test")
    assert len(prompts) == 15
    for prompt in prompts:
        assert prompt.answer is not None
        assert TASK.grade(prompt, prompt.answer).correct == 1, prompt.id
        assert "SEARCH" not in prompt.question.split("Answer with edits.")[0]


def test_a_wrong_edit_by_hand() -> None:
    found = judged("shapes/1", whole("shapes/area.py", "def circle(radius):\n    return 1\n\n\ndef rectangle(w, h):\n"
                   "    if w < 0 or h < 0:\n        raise ValueError\n    return w * h\n\n\ndef triangle(b, h):\n    return b * h / 2\n"))  # fmt: skip
    # the negative side is mended, circle is broken: 1 of 1 failing, 5 of 6 others
    assert (found["applies"], found["fixed"], found["kept"], found["answer_right"]) == (1, 1, pytest.approx(5 / 6), 0)


@pytest.mark.parametrize(
    "module",
    [
        "import sys, builtins\nclass Any(float):\n    def __eq__(self, other): return True\n    def __sub__(self, other): return 0.0\n"
        "    def __abs__(self): return 0.0\n    def __lt__(self, other): return True\n"
        "def circle(radius): return Any()\ndef rectangle(*a): return Any()\ntriangle = rectangle",
        "import os\nos._exit(0)\ncircle = rectangle = triangle = None",
        "import sys\nsys.exit(0)\ncircle = rectangle = triangle = None",
        "import builtins\nbuiltins.abs = lambda x: 0\nAssertionError = Exception\nbuiltins.AssertionError = Exception\n"
        "def circle(r): return 0\ndef rectangle(w, h): return 12\ntriangle = rectangle",
        "import sys\nfor name in list(sys.modules):\n    if 'test' in name: sys.modules[name] = None\n"
        "def circle(r): return 0\nrectangle = triangle = circle",
        pytest.param("while True: pass", marks=pytest.mark.slow),
        "def circle(r): return circle(r)\nrectangle = triangle = circle",
        "circle = rectangle = triangle = lambda *a: [0] * 10**9",
    ],
)
def test_a_program_that_attacks_its_tests_earns_nothing(module: str) -> None:
    found = judged("shapes/0", whole("shapes/area.py", module))
    assert (found["applies"], found["answer_right"]) == (1, 0)
    assert TASK is not None
    answer = problem("shapes/0").answer
    assert answer is not None
    assert TASK.grade(problem("shapes/0"), answer).correct == 1


def test_what_a_patch_may_not_do() -> None:
    assert judged("shapes/0", whole("tests/test_area.py", "def test_circle(): pass"))["edits_tests"] == 1
    assert judged("shapes/0", whole("math.py", "pi = 3"))["applies"] == 1  # hides nothing of the library
    assert judged("shapes/0", whole("math.py", "pi = 3"))["kept"] == 1
    assert judged("shapes/0", "no edit at all")["applies"] == 0


LINE = {
    "prompt": "mend",
    "files": {"m.py": "def f(): return 1\n"},
    "tests": {"test_m.py": "from m import f\n\ndef test_f(): assert f() == 2\n"},
    "failing": ["test_m.py::test_f"],
}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"files": None}, "'files' must map paths to texts"),
        ({"files": {"../m.py": ""}}, "'files' has the path '../m.py'"),
        ({"failing": ["test_m.py::test_g"]}, r"failing names 'test_m.py::test_g'; the tests are test_m.py::test_f"),
        ({"tests": {"test_m.py": "import pytest\ndef test_f(): pass"}}, "imports 'pytest'"),
        ({"tests": {"test_m.py": "import m\ndef test_f(): pass"}}, "imports 'm'"),
        ({"tests": {"test_m.py": "from m import *\ndef test_f(): pass"}}, r"imports \* from m"),
        ({"tests": {"test_m.py": "def test_f(tmp_path): pass"}}, "takes arguments"),
        ({"tests": {"test_m.py": "x = 1"}}, "has no function test_"),
        ({"tests": {"test_m.py": "def"}}, "is no Python"),
    ],
)
def test_bad_lines_are_one_line(tmp_path: Path, changed: dict[str, object], why: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps({**LINE, **changed}) + "\n")
    with pytest.raises(InputError, match=rf"f\.jsonl:1: .*{why}"):
        Swe("mine", SweConfig(path=str(path), test_path=str(path)))


def test_two_lines_of_one_id_are_refused(tmp_path: Path) -> None:
    first = REPAIRS.read_text(encoding="utf-8").splitlines()[0]
    file = tmp_path / "twice.jsonl"
    file.write_text(f"{first}\n{first}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"twice.jsonl:2: id '.*' is taken by line 1; ids must differ"):
        Swe("twice", SweConfig(path=str(file)))


def test_an_id_of_both_files_is_refused_and_one_file_twice_is_not(tmp_path: Path) -> None:
    """The later repository would judge both."""
    first, second = REPAIRS.read_text(encoding="utf-8").splitlines()[:2]
    own, test = tmp_path / "own.jsonl", tmp_path / "test.jsonl"
    own.write_text(f"{first}\n{second}\n", encoding="utf-8")
    test.write_text(second, encoding="utf-8")
    with pytest.raises(InputError, match=r"test.jsonl: id '.*' is also in .*own.jsonl; ids must differ"):
        Swe("both", SweConfig(path=str(own), test_path=str(test)))
    assert len(Swe("same", SweConfig(path=str(own), test_path=str(own))).held_out("test")) == 2
