"""Open lists: names of ours, a user's file, a package; what goes wrong in them is one line."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from r1kit.apart import try_import
from r1kit.errors import InputError
from r1kit.registry import digest, digests, find, is_reference, short, sources
from r1kit.users_code import blame

KNOWN = {"sqrt": "math:sqrt", "floor": "math:floor"}


def test_a_name_of_ours_a_file_and_a_package(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from beside_mine import TWO\n\ndef twice(x):\n    return TWO * x\n")
    (tmp_path / "beside_mine.py").write_text("TWO = 2\n")
    assert find("sqrt", KNOWN, "function")(9) == 3
    assert find(f"{tmp_path}/mine.py:twice", KNOWN, "function")(21) == 42
    assert find("statistics:mean", KNOWN, "function")([1, 2, 3]) == 2


def test_a_file_is_imported_once(tmp_path: Path) -> None:
    file = tmp_path / "once.py"
    file.write_text("class Own:\n    pass\n")
    one, other = find(f"{file}:Own", {}, "class"), find(f"{tmp_path}/./once.py:Own", {}, "class")
    assert one is other
    assert getattr(sys.modules[one.__module__], "Own") is one, "pickle and dataclasses find it again"  # noqa: B009


@pytest.mark.parametrize("inside", ["", "def value():\n    "])
def test_a_file_gets_no_other_files_helper(inside: str, tmp_path: Path) -> None:
    """Imported at once, or when a function is called; in this process, or in one that takes over its ``sys.path``."""
    helper = f"aid{len(inside)}"
    for folder in ("tk", "rwd"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{helper}.py").write_text(f"HELD = {folder!r}\n")
        (tmp_path / folder / f"{folder}_.py").write_text(f"NAME = 1\n{inside}from {helper} import HELD\n")
    assert find(f"{tmp_path}/tk/tk_.py:NAME", {}, "task") == 1
    told = rf"rwd_.py imports {tmp_path}/rwd/{helper}.py .* but {tmp_path}/tk/{helper}.py, .*rename one"
    with pytest.raises(InputError, match=f"^parts: {told}"):
        find(f"{tmp_path}/rwd/rwd_.py:NAME", {}, "reward", "parts")
    with pytest.raises(InputError, match=told):
        try_import(tmp_path / "rwd" / "rwd_.py")
    (tmp_path / "rwd" / f"{helper}.py").write_text("HELD = 'tk'\n")  # the same helper, copied
    assert find(f"{tmp_path}/rwd/rwd_.py:NAME", {}, "reward") == 1


def test_a_file_there_hides_no_module_of_python(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise RuntimeError\n")
    (tmp_path / "plain.py").write_text("import colorsys\nvalue = colorsys.rgb_to_hsv(0, 0, 0)\n")
    assert find(f"{tmp_path}/plain.py:value", {}, "value") == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"bad.py:1: SyntaxError: "),
        ("x = 1\ny = z\n", r"bad.py:2: NameError: name 'z' is not defined"),
        ("def g():\n    raise ValueError('no\\nway')\ng()\n", r"bad.py:2: ValueError: no way"),
        ("import nosuchmodule_r1\n", r"bad.py:1: ModuleNotFoundError: No module named 'nosuchmodule_r1'"),
        ("raise SystemExit(3)\n", r"bad.py:1: SystemExit: 3"),
        ("def brevty(): ...\n", r"bad.py has no 'brevity'\. Did you mean 'brevty'\?"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        find(f"{tmp_path}/bad.py:brevity", KNOWN, "reward", "stages.r1_zero.reward.parts")
    assert str(raised.value).startswith("stages.r1_zero.reward.parts: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("sqr", r"x: reward 'sqr' is unknown; known are sqrt, floor, or write FILE.py:NAME .*Did you mean 'sqrt'\?"),
        ("/nowhere/my.py:f", r"x: no such file: /nowhere/my.py"),
        ("nosuchpackage_r1.rewards:f", r"x: no module 'nosuchpackage_r1' is installed here"),
        ("math:sqroot", r"x: math has no 'sqroot'\. Did you mean 'sqrt'\?"),
    ],
)
def test_what_is_not_there(reference: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(reference, KNOWN, "reward", "x")


def test_what_a_reference_is() -> None:
    assert is_reference("my.py:f")
    assert is_reference("/a b/my.py:f")
    assert is_reference("a.b:f")
    for text in ("countdown", "code/list_ops", "my.py", "User: hello", "https://x/y", "pypi:llm-x", "a.b:f.g"):
        assert not is_reference(text), text
    assert short("/a b/my.py:f") == "my.py:f"
    assert short("countdown") == "countdown"


def test_a_file_is_what_it_imports_from_beside_it(tmp_path: Path) -> None:
    """Files: a -> b, a -> pack.c -> pack.d; random is Python's, other.py is imported by nobody."""
    (tmp_path / "pack").mkdir()
    files = {
        "a.py": "import random\nimport b\nfrom pack import c\n",
        "b.py": "X = 1\n",
        "pack/__init__.py": "",
        "pack/c.py": "from . import d\n",
        "pack/d.py": "",
        "other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    names = [str(path.relative_to(tmp_path)) for path in sources(tmp_path / "a.py")]
    assert names == ["a.py", "b.py", "pack/__init__.py", "pack/c.py", "pack/d.py"]
    before = digest(f"{tmp_path}/a.py:f")
    (tmp_path / "other.py").write_text("changed = 1\n")
    assert digest(f"{tmp_path}/a.py:f") == before
    (tmp_path / "pack" / "d.py").write_text("changed = 1\n")
    assert digest(f"{tmp_path}/a.py:f") != before


def test_a_package_beside_a_file_imports_by_its_whole_name_and_from_the_folder_above(tmp_path: Path) -> None:
    files = {
        "a.py": "from lib.rules import score\nimport far.off.away\n",
        "far/__init__.py": "",
        "far/off/__init__.py": "",
        "far/off/away.py": "",
        "__init__.py": "",
        "lib/__init__.py": "",
        "lib/rules.py": "import random\nfrom lib.weights import W\n",
        "lib/weights.py": "from .deep import low\n",
        "lib/deep/__init__.py": "",
        "lib/deep/low.py": "from ..top import X\nfrom .... import beyond\nimport c\n",
        "lib/top.py": "",
        "lib/deep/top.py": "",
        "c.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    names = {str(path.relative_to(tmp_path)) for path in sources(tmp_path / "a.py")}
    assert names == files.keys() - {"__init__.py", "lib/deep/top.py"}


def test_a_digest_does_not_hang_on_where_a_file_lies(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("import b\n")
        (tmp_path / folder / "b.py").write_text("x = 1\n")
    assert digest(f"{tmp_path}/one/a.py:f") == digest(f"{tmp_path}/two/a.py:f")


def test_the_line_to_blame_is_the_users_innermost(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text("import json\n\ndef f(text):\n    return json.loads(text)\n")
    with pytest.raises(ValueError, match="Expecting value") as raised:
        find(f"{tmp_path}/deep.py:f", {}, "function")("no json")
    assert blame(raised.value, tmp_path).startswith("deep.py:4: JSONDecodeError: Expecting value: line 1 column 1")


def test_a_file_without_a_line_to_blame_is_named_and_a_broken_exception_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(b"a = 1\0")
    with pytest.raises(InputError, match=r"^binary.py:? ?\S*: SyntaxError: source code"):
        find(f"{tmp_path}/binary.py:a", KNOWN, "thing")
    (tmp_path / "odd.py").write_text("class Odd(Exception):\n    def __str__(self): return 1 / 0\nraise Odd\n")
    with pytest.raises(InputError, match=r"^odd.py:3: Odd$"):
        find(f"{tmp_path}/odd.py:a", KNOWN, "thing")


@pytest.mark.parametrize("marked", [True, False], ids=["packages", "folders without __init__.py"])
def test_a_module_that_is_not_installed_is_its_content(
    marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "mine_pkg/rewards/short.py": "from mine_pkg.numbers import K\nfrom . import near\n",
        "mine_pkg/rewards/near.py": "",
        "mine_pkg/numbers.py": "K = 1\n",
        "mine_pkg/other.py": "",
    }
    if marked:
        files |= {"mine_pkg/__init__.py": "", "mine_pkg/rewards/__init__.py": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    reference = "mine_pkg.rewards.short:f"
    before, whole = digests(reference), digest(reference)
    assert before.keys() == files.keys() - {"mine_pkg/other.py"}
    for name in before:
        (tmp_path / name).write_text("K = 2  # edited\n" if name.endswith("numbers.py") else files[name] + "# edited\n")
        after = digests(reference)
        assert [each for each in after if after[each] != before[each]] == [name]
        assert digest(reference) != whole
        (tmp_path / name).write_text(files[name])
    assert digests("no_such_pkg.rewards:f") == {}


def test_an_installed_package_is_its_version_and_ours_too() -> None:
    assert digests("pytest:raises") == {"pytest": pytest.__version__}
    assert digests("json.decoder:JSONDecoder") == {"json.decoder": platform.python_version()}
    assert digests("r1kit.reward.user:f") == {"r1kit.reward.user": digest("r1kit.registry:g")}
