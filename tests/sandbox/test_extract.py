"""Rung L0: which part of a completion is the program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from r1kit.sandbox.cases import CallTest, StdinTest
from r1kit.sandbox.extract import Asked, asked_by, bare_program, find_program
from r1kit.sandbox.fences import blocks

FIRST, LAST = "x = 1\n", "x = 2\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"a\n```python\n{FIRST}```\nb\n```python\n{LAST}```\nc", LAST),
        (f"```py\n{LAST}```", LAST),
        (f"```Python3\n{LAST}```\n", LAST),
        (f"```\n{LAST}```", LAST),
        (f"```python\n{LAST}```\n```bash\nls\n```", LAST),
        (f"```python\n{LAST}```\n```python\nx = 3", LAST),  # the second was never closed
        ("```python\nx = 2", LAST),
        ("```python3.11\nx = 2\n```", LAST),
        ("~~~python\nx = 2\n~~~", LAST),
        ("```python\r\nx = 2\r\n```\r\n", LAST),
        ("def f(x):\n    return x + 1\n```", "def f(x):\n    return x + 1\n"),
        ("```python\ndef f(x):\n    return x + 1\n```\nOutput:\n```\n2\n```", "def f(x):\n    return x + 1\n"),
        ("- Here:\n  ```python\n  def f(x):\n      return 1\n  ```", "def f(x):\n    return 1\n"),
        ("1. ```python\n   x = 2\n   ```", LAST),
        (">```python\n>x = 2\n>```", LAST),
        ("1. a\n    - b\n\n        ```python\n        x = 2\n        ```", LAST),
        ("> - ~~~ {.python}\n>   x = 2\n>   ~~~", LAST),
        ("    ```python\n    x = 2\n    ```", LAST),
        ("<answer>```python\nx = 2\n```</answer>", LAST),
        ("\ufeff```python\nx = 2```", LAST),
        (f"```text\nx = 3\n```\n```\n{LAST}```\n```output\nx = 4\n```", LAST),
        ("````python\nx = '```'\n```\n````", "x = '```'\n```\n"),
        ("```python\nx = 2\n```python\nprint(x)\n```", "x = 2\n\n\nprint(x)\n"),  # the first was not closed
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


@pytest.mark.parametrize("text", ["", "no code", "x = 1", "```python\nx = (1", "`x = 1`", "```python x = 1```"])
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


SOLUTION = "def f(x):\n    return g(x)\n"


def test_what_is_asked_for_decides() -> None:
    text = f"```python\ndef g(x):\n    return x\n```\n```python\n{SOLUTION}```\n```python\ndef test():\n    f(1)\n```"
    found = find_program(text, asked=Asked(frozenset({"f"})))
    assert found is not None
    assert found.program == f"def g(x):\n    return x\n\n\n{SOLUTION}", "what it uses comes with it"
    reading = f"```python\nprint(input())\n```\n```python\n{SOLUTION}```"
    found = find_program(reading, asked=Asked(stdin=True))
    assert found is not None
    assert found.program == "print(input())\n"
    assert asked_by([CallTest("sorted(set(f(1)) | g.h)", 1)]) == Asked(frozenset({"f", "g"}))
    assert asked_by([StdinTest("", "")]) == Asked(stdin=True)


FULL, STUB = "def f(x):\n    return x + 1\n", 'def f(x):\n    """Adds one."""\n    ...\n'


@pytest.mark.parametrize(
    "stub",
    [STUB, "def f(x):\n    pass\n", "def f(x: int) -> int:\n    raise NotImplementedError('later')\n"],
)
def test_what_is_left_to_be_written_is_no_program_beside_one_that_is(stub: str) -> None:
    asked = asked_by([CallTest("f(1)", 2)])
    for text in (
        f"```python\n{FULL}```\nIts signature:\n```python\n{stub}```",
        f"```python\n{stub}```\n```python\n{FULL}```",
    ):
        found = find_program(text, asked=asked)
        assert found is not None
        assert found.program == FULL
    alone = find_program(f"```python\n{stub}```", asked=asked)
    assert alone is not None
    assert alone.program == stub


def test_a_session_with_the_interpreter_is_a_program() -> None:
    found = find_program("```pycon\n>>> def f(x):\n...     return x + 1\n...\n>>> f(1)\n2\n```")
    assert found is not None
    assert found.program == "def f(x):\n    return x + 1\n\nf(1)\n"
    after = f"```python\n{FULL}```\n```python\n>>> f(1)\n2\n```"
    assert getattr(find_program(after, asked=asked_by([CallTest("f(1)", 2)])), "program", None) == FULL


@pytest.mark.parametrize("inner", ["```\n    f(1)", "```python\n    f(1)", "```\n    >>> f(1)\n    2", "~~~\n    x"])
@pytest.mark.parametrize("margin", ["  ", "    ", "        "])
@pytest.mark.parametrize(
    "around",
    ["```python\n{}```", "```python\n{}", "{}```", "```\n{}```\nUse:\n```python\nf(2)\n```", "Here: ```py\n{}```\nbye"],
)
def test_a_fence_in_a_program_s_own_text_closes_nothing(around: str, margin: str, inner: str) -> None:
    program = f'def f(x):\n    """Adds.\n\n    {inner}\n    {inner[:3]}\n    """\n    return x + 1\n'
    program = program.replace("    ", margin)
    found = find_program(around.format(program))
    assert found is not None
    assert found.program == program
    listed = "".join(f"   {line}\n" for line in program.splitlines())
    found = find_program(f"1. ```python\n{listed}   ```\n")
    assert found is not None
    assert found.program.replace("   \n", "\n") == program, "in a list"
    assert find_program(program) is None, "no block, though there is one in its text"
    bare = find_program(program, "either")
    assert bare is not None
    assert bare.program == program


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("```python\ndef f(x):\n    return 1\n    ```\nThat is all.", "def f(x):\n    return 1\n"),
        ('```python\nx = """a\n    ```\nAgain:\n```python\nx = 2\n```', LAST),  # no longer one is Python
        ('"""\n```python\nx = 2\n```\n"""', LAST),  # all of it is a quotation
        ('Solution\n"""\n```python\nx = 2\n```\n"""', LAST),
        ('Use """ here.\n```python\nx = 2\n```', LAST),
    ],
)
def test_a_fence_closes_where_no_longer_program_is_python(text: str, program: str) -> None:
    found = find_program(text)
    assert found is not None
    assert found.program == program


@pytest.mark.parametrize("mark", ["code", "tool_code", "Code"])
def test_a_mark_that_names_no_language_is_python_where_that_is(mark: str) -> None:
    found = find_program(f"```{mark}\n{LAST}```")
    assert found is not None
    assert (found.program, found.python) == (LAST, True)
    for other in (f"```{mark}\nlet x\n```", f"```{mark}\n{LAST}```\n```javascript\nlet x\n```"):
        found = find_program(other)
        assert found is not None
        assert not found.python
    found = find_program(f"```{mark}\nf(1)\n```\n```\n{LAST}```\n```{mark}\nf(2)\n```")
    assert found is not None
    assert found.program == LAST, "another block comes first"


@pytest.mark.parametrize(
    "text",
    [
        f"[BEGIN]\n{SOLUTION}[DONE]", f"{SOLUTION}[DONE]\n\nYou are an expert Python programmer.",
        f"[BEGIN]\n{SOLUTION}",
        f"Sure:\n [BEGIN]\n{SOLUTION}[DONE] \n[BEGIN]\nx = 1\n[DONE]", f"[PYTHON]\n{SOLUTION}[/PYTHON]\nIt adds.",
    ],
)  # fmt: skip
def test_the_marks_of_mbpp_are_no_part_of_a_program(text: str) -> None:
    assert bare_program(text).rstrip() == SOLUTION.rstrip()
    found = find_program(text, "either")
    assert found is not None
    assert found.program.rstrip() == SOLUTION.rstrip()


def test_a_text_without_a_fence() -> None:
    assert bare_program(f"Sure:\n\n{SOLUTION}\nThat is all.") == SOLUTION
    assert bare_program("n = int(input())\nprint(n)") == "n = int(input())\nprint(n)"
    assert bare_program("x = [\n[DONE][0]]") == "x = [\n[DONE][0]]"
    assert bare_program("I cannot say.") == "I cannot say."
    assert bare_program("Read:\nn = int(input())\nfor i in range(n):\n  print(i)\nDone, I think.") == (
        "n = int(input())\nfor i in range(n):\n  print(i)\n"
    )


LINES = [
    "```python",
    "```",
    "~~~",
    "````",
    "~~~py x",
    "no code",
    "  no code",
    "",
    "   ```",
    "``` js",
    "~~~~",
    "a ~~~ b",
]


@given(st.lists(st.sampled_from(LINES), max_size=10).map("\n".join))
def test_blocks_are_those_of_a_markdown_parser(text: str) -> None:
    theirs = [token.content.rstrip() for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]
    assert [block.program.rstrip() for block in blocks(text)] == theirs


@pytest.mark.parametrize(
    "text",
    [
        "~" * 20000 + "`", "`" * 50000, "```python\n" * 5000, "x\n```python\n" * 3000 + "```", "x = 1```\n" * 4000,
        "```python\n" + "x = 1```y```\n" * 4000, "> " * 30000 + "```python\nx", "- " * 30000 + "```", "def f(" * 9000,
        "def f(x): (\n" * 3000, "<a>" * 20000 + "```", "".join("`" * (60 - n) + "md\n" for n in range(57)), "(" * 50000,
        "```python\n'''\n```\n" * 5000, "'''\n" + "```\n" * 20000, "[BEGIN]\n" * 20000,
    ],
)  # fmt: skip
def test_no_text_hangs(text: str) -> None:
    for found in (find_program(text), find_program(text, "either")):
        assert found is None or len(found.program) <= len(text) + 1
    assert bare_program(text) in text + "\n"
