# ruff: noqa: E501
"""Edits of hostile and of honest answers, applied to texts alone."""

from __future__ import annotations

import pytest

from r1kit.tasks.swe.edits import Edit, RefusedError, apply, edits_in

FILES = {"a/b.py": "x = 1\ny = 2\nx = 1\n", "c.py": "z = 3"}


def block(path: str, search: str, replace: str) -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (block("a/b.py", "y = 2\n", "y = 3\n"), {"a/b.py": "x = 1\ny = 3\nx = 1\n"}),
        (block("a/b.py", "x = 1\ny = 2\n", ""), {"a/b.py": "x = 1\n"}),
        (block("c.py", "z = 3\n", "z = 4\n"), {"c.py": "z = 4\n"}),
        ("Here:\n\n**a/b.py**\n```python\n" + block("", "y = 2\n", "y = 3\n")[1:] + "```\nThat is all.", {"a/b.py": "x = 1\ny = 3\nx = 1\n"}),
        ("```python\n" + block("a/b.py", "y = 2\n", "y = 3\n") + "```\n", {"a/b.py": "x = 1\ny = 3\nx = 1\n"}),
        ("### `c.py`:\n```python\nz = 5\n```\n", {"c.py": "z = 5\n"}),
        ("For example:\n```python\nc.py = 1\n```\nc.py\n```\nz = 6\n```", {"c.py": "z = 6\n"}),
        (block("new/d.py", "", "w = 1\n"), {"new/d.py": "w = 1\n"}),
        (block("c.py", "z = 3\n", "z = 4\n") + block("c.py", "z = 4\n", "z = 5\n"), {"c.py": "z = 5\n"}),
        (block("c.py", "z = 3\n", "z = 4\n").replace("\n", "\r\n"), {"c.py": "z = 4\n"}),
        *(
            (before + block("c.py", "z = 3\n", "z = 4\n").replace("c.py", f"{mark}c.py{mark}") + after, {"c.py": "z = 4\n"})
            for before in ("", "File: ", "./", "- ", "1. ", "In ", "In the file ", "**File:** ", "### ")
            for mark in ("", "`")
            if before != "./" or not mark
            for after in ("", "\n```python\nprint(f())\n```\n", "\nDone.\n\n```python\nprint(f())\n```\n", "\ne.g.\n```\nx\n```")
        ),
        (block("c.py", "z = 3\n", "z = 4\n") + "\n```\nz\n```\n\nIn `c.py`:\n```python\nz = 4\n```", {"c.py": "z = 4\n"}),
        (block("c.py", "z = 3\n", "z = 4\n") + "\nc.py\n```\nz = 5\n```", {"c.py": "z = 5\n"}),
        (block("c.py", "z = 3\n", "z = 4\n") + block("c.py", "z = 4\n", "z = 5\n")[5:], {"c.py": "z = 5\n"}),
        ("c.py\n```\nx = '''\n    ```\n    y\n    ```\n'''\n```", {"c.py": "x = '''\n    ```\n    y\n    ```\n'''\n"}),
        ("file.py\n```\nz = 5\n```", {"file.py": "z = 5\n"}),
    ],
)  # fmt: skip
def test_what_applies(answer: str, after: dict[str, str]) -> None:
    assert apply(FILES, edits_in(answer)) == {**FILES, **after}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "no edit"),
        ("Changed:\n- `c.py`\n\n```\ngit diff\n```", "no edit"),
        ("- ../out.py\n" + block("", "", "x = 1\n")[1:], "leads elsewhere"),
        ("File: tests/b.py\n" + block("", "", "x = 1\n")[1:], "is a test"),
        ("e.g.\n```\nz = 5\n```", "no edit"),
        ("I would change y to 3 in a/b.py.", "no edit"),
        (block("a/b.py", "x = 1\n", "x = 2\n"), "stand 2 times"),
        (block("a/b.py", "y = 22\n", "y = 3\n"), "stand nowhere"),
        (block("a/b.py", "= 2\n", "= 3\n"), "stand nowhere"),
        (block("a/b.py", "y = 2\n", "y = 2\n"), "change nothing"),
        (block("a/b.py", "", "y = 2\n"), "stand nowhere"),
        (block("no.py", "y = 2\n", "y = 3\n"), "no file no.py"),
        (block("../out.py", "", "x = 1\n"), "leads elsewhere"),
        (block("/etc/passwd.py", "", "x = 1\n"), "leads elsewhere"),
        (block("a/../../out.py", "", "x = 1\n"), "leads elsewhere"),
        (block("a//b.py", "", "x = 1\n"), "leads elsewhere"),
        (block(".git/hooks.py", "", "x = 1\n"), "leads elsewhere"),
        (block("a\\b.py", "", "x = 1\n"), "leads elsewhere"),
        (block("a\0.py", "", "x = 1\n"), "leads elsewhere"),
        (block("tests/test_b.py", "", "def test_b(): pass\n"), "is a test"),
        (block("a/test_b.py", "", "x = 1\n"), "is a test"),
        (block("conftest.py", "", "import sys\n"), "is a test or decides"),
        (block("a/conftest.py", "", "import sys\n"), "is a test or decides"),
        (block("sitecustomize.py", "", "import sys\n"), "is a test or decides"),
        (block("pytest.ini", "", "[pytest]\n"), "is a test or decides"),
        (block("notes.txt", "", "hi\n"), "no module"),
        ("a/b.py\n<<<<<<< SEARCH\ny = 2\n", "does not end"),
        ("a/b.py\n```python\ny = 2\n", "does not end"),
        ("<<<<<<< SEARCH\ny = 2\n=======\n>>>>>>> REPLACE", "without a path"),
        (block("c.py", "z = 3\n", "z" * 99_000) + "x" * 2000, "longer than"),
        (block("c.py", "z = 3\n", "z = 4\n") + block("c.py", "z = 4\n", "z = 3\n") * 101, "more than 100|nowhere"),
    ],
)
def test_what_is_refused(answer: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        apply(FILES, edits_in(answer))
    assert FILES == {"a/b.py": "x = 1\ny = 2\nx = 1\n", "c.py": "z = 3"}


def test_edits_are_made_in_order_and_all_or_none() -> None:
    good, bad = Edit("c.py", "z = 3\n", "z = 4\n"), Edit("c.py", "z = 3\n", "z = 5\n")
    with pytest.raises(RefusedError, match="nowhere"):
        apply(FILES, [good, bad])
