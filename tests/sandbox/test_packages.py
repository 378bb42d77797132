"""Packages that programs may import: what is shown of them, what is not, and what is said where one is not there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError
from r1kit.sandbox import AssertTest, CallTest, LadderSettings, Sandbox, SandboxSettings, climb, open_sandbox
from r1kit.sandbox.packages import modules_in, modules_of, package_files
from r1kit.tasks.code import CodeConfig, CodeFile

WHOLE = LadderSettings(extract="whole")
NUMPY = "import numpy as np\ndef f(x):\n    return np.array(x) * 2\n"


@pytest.fixture(scope="module")
def with_numpy(sandbox: Sandbox) -> Iterator[Sandbox]:
    opened = open_sandbox(SandboxSettings(packages=["numpy"]))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("program", "call", "expect", "cause"),
    [
        (NUMPY, "f([1, 2])", [2, 4], "ok"),
        (NUMPY, "f(3)", 6, "ok"),
        (NUMPY, "f(0.15)", 0.3, "ok"),
        (NUMPY, "f([1, 2])", [2, 5], "wrong_answer"),
        ("import numpy\ndef f(x):\n    return numpy.linalg.inv(numpy.eye(2) * x).sum()", "f(4)", 0.5, "ok"),
        ("import numpy\ndef f(x):\n    return numpy.random.default_rng(0).random() < x", "f(1)", True, "ok"),
        ("import numpy\ndef f(x):\n    return numpy.zeros((1 << 14, 1 << 14)).sum()", "f(1)", 0, "memory"),
        ("import torch\ndef f(x):\n    return x", "f(1)", 1, "error"),
        ("import numpy, os\nopen(os.path.join(numpy.__path__[0], 'left'), 'w')\nf = int", "f(1)", 1, "error"),
        ("import os\ndef f(x):\n    return os.listdir('/packages') == [x]", "f(1)", False, "ok"),
    ],
)
def test_programs_with_numpy(program: str, call: str, expect: object, cause: str, with_numpy: Sandbox) -> None:
    assert climb(program, [CallTest(call, expect)], WHOLE, with_numpy).cause == cause


def test_tests_may_use_it_too_and_an_array_of_the_program_s_decides_nothing(with_numpy: Sandbox) -> None:
    code = "for x in ([1.0], [2.0, 3.0]):\n    assert np.allclose(f(x), np.array(x) * 2) and f(x) == [2 * y for y in x]"
    tests = [AssertTest.of(code, "import numpy as np")]
    assert climb(NUMPY, tests, WHOLE, with_numpy).cause == "ok"
    patched = "import numpy as np\nnp.allclose = lambda *_: True\nclass A(np.ndarray):\n    __eq__ = lambda *_: True\n"
    assert (
        climb(f"{patched}def f(x):\n    return np.zeros(2).view(A)", tests, WHOLE, with_numpy).cause == "wrong_answer"
    )


def test_without_it_the_program_is_told(sandbox: Sandbox) -> None:
    verdict = climb(NUMPY, [CallTest("f(1)", 2)], WHOLE, sandbox)
    assert (verdict.cause, "No module named 'numpy'" in verdict.detail) == ("error", True)


def test_a_package_brings_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module, needs in (
        ("Up-Per", "upper", ["low_er>=1", 'other; extra == "x"']),
        ("low-er", "lower", ["up-per"]),
    ):
        (tmp_path / module).mkdir()
        info = tmp_path / f"{name.lower().replace('-', '_')}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n" + "".join(f"Requires-Dist: {n}\n" for n in needs))
        (info / "RECORD").write_text(f"{module}/__init__.py,,\n{info.name}/METADATA,,\n../../bin/run,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = package_files(["up-per"])
    assert {path.name for path in shown} == {"upper", "lower", "up_per-1.dist-info", "low_er-1.dist-info"}
    assert modules_of(["up-per"]) == ["upper"]
    assert modules_in(shown) == ["lower", "upper"]


def test_what_is_not_installed_is_said() -> None:
    told = "^sandbox.packages names 'no-such-package', which is not installed here; run: pip install no-such-package$"
    with pytest.raises(MissingError, match=told):
        open_sandbox(SandboxSettings(packages=["no-such-package"]))


def test_tests_that_import_what_the_sandbox_has_not_are_told(tmp_path: Path) -> None:
    test = "import numpy.linalg, math, json\nfor x in (1, 2):\n    assert f(x) == x"
    row = {"task_id": 1, "text": "q", "test_list": ["assert f(3) == 3"], "test": test}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    path = str(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match=r'a.jsonl:1: its tests import numpy, .* sandbox.packages = \["numpy"\]'):
        CodeFile("x", CodeConfig(path=path, test_path=path))
    one = CodeFile("x", CodeConfig(path=path, test_path=path, sandbox=SandboxSettings(packages=["numpy"])))
    assert one.grade(one.held_out("test")[0], "def f(x):\n    return x").correct == 1
    one.judge.close()
    assert "numpy" not in sys.stdlib_module_names
