"""Take the program out of a completion: rung L0. Nothing is run or judged here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from r1kit.sandbox.cases import AssertTest, CallTest, Case, StdinTest
from r1kit.sandbox.fences import Block, blocks
from r1kit.sandbox.trees import defined, missing, parsed, reads_input, stubs

__all__ = ["EXTRACTS", "Asked", "Extract", "Found", "asked_by", "bare_program", "find_program"]

Extract = Literal["block", "whole", "either"]
EXTRACTS: tuple[str, ...] = get_args(Extract)
_CODE = re.compile(
    r"^\s*(?:import|from|def|class|return|for|while|if|with|try|print|echo|function|const|let|var|fn|#include|#!)\b"
    r"|\w\(|[\w\])]\s*[-+*/]?=\s*\S|[;{}]\s*$",
    re.MULTILINE,
)
"""What a line of code has and a sentence has not, in any language."""
_STARTS = re.compile(
    r"(?:async\s+)?(?:def|class)\s+\w+.*[:(,]|import\s+\w|from\s+[\w.]+\s+import\b|@\w|[A-Za-z_]\w*\s*=\s*\S"
)
"""How a program begins that stands in a text without a fence."""
_GOES_ON = re.compile(
    r"\s|#|@|[)\]}]|(?:async\s+)?(?:def|class|for|while|if|elif|with)\b.*|(?:else|try|finally|except)\b.*:|import\s|from\s"
    r"|(?:print|return|raise|assert|del|global)\b|[A-Za-z_][\w.\[\], ]*\s*[-+*/%|&^]?=|[A-Za-z_][\w.]*\("
)
_FRAME = re.compile(r"[ \t]*\[(BEGIN|PYTHON|DONE|/PYTHON)\][ \t]*")
"""A line of the marks that MBPP's prompt, and Code Llama's, want around a program."""
_NO_LANGUAGE = ("code", "tool_code", "codeblock", "code_block", "program", "solution", "source")
"""Marks of a block that name no language."""
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)(.*)$", re.MULTILINE)
"""A line of a session with the interpreter; what it printed stands between them."""
_CUT_TRIES = 8
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a program must have, as far as it is known."""

    names: frozenset[str] = frozenset()
    """Functions and classes that are called."""
    stdin: bool = False
    """It reads standard input."""


@dataclass(frozen=True, slots=True)
class Found:
    """A block of code."""

    program: str
    python: bool
    """False: it is marked as another language."""


def asked_by(tests: Iterable[Case]) -> Asked:
    """What the tests call."""
    given = list(tests)
    calls = [test.call for test in given if isinstance(test, CallTest)]
    named = [test.names for test in given if isinstance(test, AssertTest)]
    stdin = any(isinstance(test, StdinTest) for test in given)
    return Asked(frozenset().union(*map(missing, calls[:16]), *named), stdin)


def find_program(text: str, extract: Extract = "block", asked: Asked = Asked()) -> Found | None:
    """The program in a completion, None if there is none.

    ``block``: of the fenced blocks marked as Python or not marked (``fences.py``), the one to choose is the last among
    those that come first in this order: it is Python; it defines most of the names that are asked for and leaves none
    of them to be written (``...``), or reads standard input where that is asked for; it defines a function or a class,
    or reads standard input, so that a block of output, of usage or of tests after the program is passed by; it is
    marked as Python; it was closed. One that was never closed counts only if it is Python, without the prose after it.
    Of a session with the interpreter (``>>>``) what was typed counts. What the chosen block uses and an earlier one
    defines is put before it. If every block is marked as another language: the last of those.
    ``whole``: the text as it is, None only if it is blank.
    ``either``: the block if any is fenced, else the whole text, None if no line of it looks like code.
    """
    text = text.lstrip("\ufeff")
    found = [] if extract == "whole" else blocks(text)
    if extract == "whole" or (extract == "either" and not found and _CODE.search(text)):
        return Found(text if extract == "whole" else bare_program(text), True) if text.strip() else None
    read = [reading for block in found if block.python or not block.mark for reading in _readings(block)]
    if not read and all(block.mark in _NO_LANGUAGE for block in found):
        read = [reading for block in found for reading in _readings(block) if reading.tree is not None]
    if not read:
        others = [block for block in found if block.mark and not block.python and block.closed]
        return Found(others[-1].program, False) if others else None
    best = max(range(len(read)), key=lambda place: (*read[place].rank(asked), place))
    return Found(_with_helpers(read, best), True)


@dataclass(frozen=True, slots=True)
class _Reading:
    block: Block
    program: str
    tree: ast.Module | None

    def rank(self, asked: Asked) -> tuple[int, ...]:
        if self.tree is None:
            return (0, 0, 0, self.block.python, self.block.closed)
        reads = reads_input(self.tree)
        has = reads if asked.stdin else len(asked.names & (defined(self.tree) - stubs(self.tree)))
        does = reads or any(isinstance(node, _DEFINITIONS) for node in ast.walk(self.tree))
        return (1, has, does, self.block.python, self.block.closed)


def _readings(block: Block) -> list[_Reading]:
    program = block.program.lstrip("\ufeff")
    found = parsed(program)
    if found is None and _PROMPT.search(program):
        program = "".join(f"{line}\n" for line in _PROMPT.findall(program))
        found = parsed(program)
    if found is None and not block.closed:
        program = bare_program(program)
        found = parsed(program)
    if found is None:
        return [_Reading(block, program, None)] if block.closed else []
    return [_Reading(block, *found)]


def _with_helpers(read: Sequence[_Reading], best: int) -> str:
    """The chosen program after the earlier ones that define what it uses."""
    chosen = read[best]
    needed = missing(chosen.program) if chosen.tree is not None else set()
    parts = [chosen.program]
    for reading in reversed(read[:best]):
        given = defined(reading.tree) & needed if reading.tree is not None else set()
        if given and reading.tree is not None:
            parts.insert(0, reading.program)
            needed = needed - given | missing(reading.program)
    return "\n\n".join(parts)


def bare_program(text: str) -> str:
    """The program in a text without a fence: the whole of it if it is Python, else its first run of lines that are.

    Of a text with MBPP's ``[BEGIN]`` or ``[DONE]``, what they stand around. Where nothing in it is Python, the text as
    it is.
    """
    text = _unframed(text.lstrip("\ufeff"))
    if parsed(text) is not None:
        return text
    lines = text.split("\n")
    tries = _CUT_TRIES
    for start, line in enumerate(lines):
        if not tries or not _STARTS.match(line):
            continue
        tries -= 1
        end = start + 1
        while end < len(lines) and (not lines[end].strip() or _GOES_ON.match(lines[end])):
            end += 1
        run = "\n".join(lines[start:end]).rstrip() + "\n"
        if parsed(run) is not None:
            return run
    return text


def _unframed(text: str) -> str:
    """What stands before the first mark that ends a program, after the last one before it that begins one."""
    lines = text.split("\n")
    marks = [(place, found[1]) for place, line in enumerate(lines) if (found := _FRAME.fullmatch(line))]
    end = next((place for place, mark in marks if mark in ("DONE", "/PYTHON")), len(lines))
    begin = max((place + 1 for place, mark in marks if place < end and mark in ("BEGIN", "PYTHON")), default=0)
    return "\n".join(lines[begin:end]) if marks else text
