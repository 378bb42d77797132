"""The formats: how a line becomes a problem."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from r1kit.data.find import code_format
from r1kit.data.paths import opened
from r1kit.errors import InputError
from r1kit.files import Line, brief
from r1kit.records import Message, Prompt
from r1kit.sandbox import AssertTest, CallTest, Case, StdinTest, parse_case
from r1kit.sandbox.trees import defined, library_imports, parses
from r1kit.tasks.code.files.asserts import asserted_cases, check_cases
from r1kit.tasks.code.files.contests import question_of, starter_of, tests_of
from r1kit.tasks.code.files.problem import FileProblem
from r1kit.tasks.split import digest, own_cluster

__all__ = ["NEEDS", "PARSERS"]

LISTS = ("test_list", "challenge_test_list", "test_imports")
"""Of MBPP: columns of lists, which a CSV file holds as text."""


def humaneval(line: Line, task: str, prefix: str) -> FileProblem:
    """``task_id``, ``prompt`` (a signature with its docstring), ``entry_point``, ``test`` (``def check(candidate)``)
    and, where there is one, ``canonical_solution`` (the body)."""
    head, entry, test = line.text("prompt"), line.text("entry_point"), line.text("test")
    if entry.startswith(METHOD):
        return _leetcode(line, task, prefix, entry.removeprefix(METHOD), head, test)
    before, defined, _ = head.partition(f"def {entry}(")
    if not defined:
        raise InputError(f"{line.where}: the prompt does not define {entry!r}, its entry_point")
    with _usable(line, "test"):
        cases = check_cases(test, entry, before)
    if not cases:
        raise InputError(f"{line.where}: 'test' asserts nothing")
    body = line.text("canonical_solution", default="")
    return FileProblem(
        prompt=_prompt(
            line,
            task,
            line.text("task_id", default=f"{prefix}{line.number}"),
            f"Complete this Python function. Answer with the whole function.\n\n```python\n{head.rstrip()}\n```",
            head + body if body else None,
            facts={"entry_point": entry},
        ),
        tests=tuple(cases),
        before=before,
        entry=entry,
        head=head,
    )


METHOD = "Solution()."
"""What LeetCodeDataset's entry points begin with."""


def _leetcode(line: Line, task: str, prefix: str, method: str, before: str, test: str) -> FileProblem:
    """LeetCodeDataset: ``problem_description``, ``starter_code``, a method that is tested, and imports and helpers in
    ``prompt``. Lists and trees of nodes, which the tests would have to give the program, are refused."""
    with _usable(line, "test"):
        cases = check_cases(test, method, before)
    if not cases or not all(isinstance(case, CallTest) for case in cases):
        raise InputError(f"{line.where}: 'test' holds more than calls with a value to expect; objects cannot be given")
    question = (
        f"{line.text('problem_description', 'query').strip()}\n\nBegin with this:\n```python\n{starter_of(line)}\n```"
    )
    identity = line.text("task_id", default=f"{prefix}{line.number}")
    asked = f"{question}\n\nAnswer with a Python program that defines {method}."
    return FileProblem(
        prompt=_prompt(line, task, identity, asked, line.text("completion", default="") or None),
        tests=tuple(cases),
        before=before,
        method=method,
    )


def mbpp(line: Line, task: str, prefix: str) -> FileProblem:
    """``text`` (or ``prompt``), ``test_list`` (asserts) and, where they are there, ``task_id``, ``code``,
    ``challenge_test_list``, and ``test_setup_code`` (or ``test_imports``). The first assert is shown, as an example."""
    line = replace(line, table={key: opened(value) if key in LISTS else value for key, value in line.table.items()})
    asserts = (*line.texts("test_list"), *line.texts("challenge_test_list", ()))
    before = "\n".join((*line.texts("test_imports", ()), line.text("test_setup_code", default=""))).strip()
    code = line.text("code", default="")
    right = parses(code)
    with _usable(line, "test_list"):
        cases = asserted_cases(asserts, *_beside(before, right))
    if not cases:
        raise InputError(f"{line.where}: 'test_list' is empty")
    cases += _further(line, before, right)
    text = line.text("text", "prompt")
    identity = line.text("task_id", default="")
    return FileProblem(
        prompt=_prompt(
            line,
            task,
            f"{prefix}{identity or line.number}",
            f"{text.strip()} Answer with Python.\n\nFor example:\n```python\n{asserts[0].strip()}\n```",
            code or None,
        ),
        tests=tuple(cases),
        before=before,
    )


def _beside(before: str, right: ast.Module | None) -> tuple[str, set[str]]:
    """(what tests beside the program begin with, names that are the program's), as far as a right program tells: what
    it imports of the library (``Counter``) they import themselves, so that no other program decides what it is."""
    if right is None:
        return before, set()
    imports = library_imports(right)
    return f"{before}\n{imports}".strip(), defined(right) - defined(ast.parse(imports))


def _further(line: Line, before: str, right: ast.Module | None) -> list[AssertTest]:
    """MBPP+'s ``test``: a program of asserts."""
    test = line.text("test", default="")
    with _usable(line, "test"):
        return [AssertTest.of(test, *_beside(before, right))] if test else []


def contest(line: Line, task: str, prefix: str) -> FileProblem:
    """A question with inputs and outputs (``contests.py``) and, where they are there, ``answer`` (a right program),
    ``starter_code``, ``id``, ``language`` and ``cluster``."""
    tests, entry = tests_of(line)
    (question, history), starter = question_of(line), starter_of(line)
    begin = f"\n\nBegin with this:\n```python\n{starter}\n```" if starter else ""
    how = f"that defines {entry}" if entry else "that reads standard input and prints"
    if not entry:
        how = how if isinstance(tests[0], StdinTest) else "that defines what is asked for"
    return FileProblem(
        prompt=_own(line, task, prefix, f"{question.rstrip()}{begin}\n\nAnswer with a Python program {how}.", history),
        tests=tests,
        before=LIBRARY if entry else "",
        method=entry,
    )


LIBRARY = """import bisect, collections, functools, heapq, itertools, math, random, re, string, sys
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from typing import *
"""
"""What sites of problems that ask for a function have imported."""


def bugfix(line: Line, task: str, prefix: str) -> FileProblem:
    """``program`` (broken), ``failing`` (tests that are shown), ``tests`` (further ones, which stay hidden) and, where
    they are there, ``prompt``, ``answer`` (the program mended), ``id``, ``language`` and ``cluster``."""
    program, failing, hidden = line.text("program"), _cases(line, "failing"), _cases(line, "tests", needed=False)
    text = line.text("prompt", default="This Python program has a bug.").strip()
    shown = "\n".join(map(_spelled, failing))
    question = (
        f"{text} Mend it, and answer with the whole program.\n\n```python\n{program.rstrip()}\n```\n\n"
        f"These tests fail:\n{shown}"
    )
    kinds = {type(test) for test in (*failing, *hidden)}
    if len(kinds) > 1:
        raise InputError(f"{line.where}: tests are all calls or all standard input, not both")
    return FileProblem(prompt=_own(line, task, prefix, question), tests=(*failing, *hidden))


CONTESTS = ("stdio", "apps", "livecodebench", "codecontests", "verification_info")
PARSERS: Mapping[str, Callable[[Line, str, str], FileProblem]] = {
    "humaneval": humaneval,
    "mbpp": mbpp,
    "bugfix": bugfix,
    **dict.fromkeys(CONTESTS, contest),
    "auto": lambda line, task, prefix: PARSERS[code_format(line.table) or "stdio"](line, task, prefix),
}
"""Format -> (line, task's name, prefix of ids) -> problem. Raises InputError for a line that does not fit."""

NEEDS = {
    "humaneval": "'prompt', 'entry_point' and 'test'",
    "mbpp": "'text' and 'test_list'",
    "bugfix": "'program', 'failing' and 'tests'",
    **dict.fromkeys((*CONTESTS, "auto"), "'prompt' and 'tests'"),
}
"""Format -> what a line must hold."""


def _own(line: Line, task: str, prefix: str, question: str, history: tuple[Message, ...] | None = None) -> Prompt:
    """A prompt of a format whose ids and answers are text, where there are any."""
    answer = line.text("answer", default="") if isinstance(line.table.get("answer"), str) else ""
    made = _prompt(line, task, line.text("id", default=f"{prefix}{line.number}"), question, answer or None)
    return replace(made, history=history, cluster=line.text("cluster", default=own_cluster(question, history)))


def _prompt(
    line: Line, task: str, identity: str, question: str, answer: str | None, facts: Mapping[str, Any] | None = None
) -> Prompt:
    return Prompt(
        id=identity,
        task=task,
        question=question,
        answer=answer,
        language=language if _LANGUAGE.fullmatch(language := line.text("language", default="en")) else "en",
        cluster=line.text("cluster", default=digest(question)),
        facts=facts or {},
    )


_LANGUAGE = re.compile(r"[a-z]{2}(?:-[A-Za-z]+)?")
"""Not a programming language, which some files have in that column."""


def _cases(line: Line, key: str, *, needed: bool = True) -> tuple[Case, ...]:
    """A list of tests, each ``{"call", "expect"}`` or ``{"stdin", "stdout"}``."""
    value = line.table.get(key, None if needed else [])
    if value is None:
        raise line.lacks(repr(key), key)
    if not isinstance(value, list) or (needed and not value):
        raise InputError(f"{line.where}: {key!r} must be a list of tests, got {brief(value)}")
    return tuple(parse_case(entry, f"{line.where}: {key}[{place}]") for place, entry in enumerate(value))


def _spelled(test: Case) -> str:
    if isinstance(test, CallTest):
        return f"{test.call} should give {test.expect!r}"
    return test.code if isinstance(test, AssertTest) else f"input {test.stdin!r} should print {test.stdout!r}"


@contextmanager
def _usable(line: Line, key: str) -> Iterator[None]:
    """Tests of a column are read: what is wrong with them is told with where they stand."""
    try:
        yield
    except (SyntaxError, ValueError, RecursionError) as error:
        told = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise InputError(f"{line.where}: {key!r} cannot be used: {told}") from None
