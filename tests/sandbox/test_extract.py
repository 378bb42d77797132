"""Rung L0: which part of a completion is the program."""

from __future__ import annotations

import pytest

from r1kit.sandbox.extract import find_program

FIRST, LAST = "x = 1\n", "x = 2\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"a\n```python\n{FIRST}```\nb\n```python\n{LAST}```\nc", LAST),
        (f"```py\n{LAST}```", LAST),
        (f"```Python3\n{LAST}```\n", LAST),
        (f"```\n{LAST}```", LAST),
        (f"```python\n{LAST}```\n```bash\nls\n```", LAST),
        (f"```python\n{LAST}```\n```python\nx = 3", LAST),  # the second was cut
        ("```python\nprint('```')\n```", "print('```')\n"),
        (f"  ```python title=a.py\n{LAST}  ```", LAST),
        ("```python\n```", ""),
    ],
)
def test_last_python_block(text: str, program: str) -> None:
    found = find_program(text)
    assert found is not None
    assert found.python
    assert found.program == program


@pytest.mark.parametrize("text", ["", "no code", "x = 1", "```python\nx = 1", "`x = 1`", "```python x = 1```"])
def test_no_block(text: str) -> None:
    assert find_program(text) is None


def test_another_language_is_a_block_but_not_python() -> None:
    found = find_program("```javascript\nlet x\n```")
    assert found is not None
    assert not found.python


@pytest.mark.parametrize("text", ["x = 1", "echo 42", "console.log(1)", "def f(x):\n  return x", "int main() {\n}"])
def test_bare_code(text: str) -> None:
    found = find_program(text, "either")
    assert found is not None
    assert found.program == text


@pytest.mark.parametrize(
    "text", ["", "I am sorry (really), I cannot.", "If you sort, 42 is first.\nFor that: sort it.", "答案是排序。"]
)
def test_bare_prose(text: str) -> None:
    assert find_program(text, "either") is None
