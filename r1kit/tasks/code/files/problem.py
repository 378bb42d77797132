"""What every format gives, a prompt and what stays hidden from whoever answers it, and the program that then runs."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass

from r1kit.records import Prompt
from r1kit.sandbox import Case
from r1kit.sandbox.extract import Asked, asked_by
from r1kit.sandbox.trees import defined, parses

__all__ = ["FileProblem", "assembled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    prompt: Prompt
    tests: tuple[Case, ...]
    """Hidden."""
    before: str = ""
    """Put before every program: imports and helpers that the question gives."""
    entry: str = ""
    """The function that tests call; empty for programs that read and print."""
    method: str = ""
    """The function that tests call, which an answer may have in a class ``Solution``."""
    head: str = ""
    """Put before a program that does not define ``entry``: it is a function's body alone."""

    @property
    def asked(self) -> Asked:
        """What an answer is asked to have."""
        names = {self.entry, *({self.method, "Solution"} if self.method else ())} - {""}
        return Asked(frozenset(names)) if names else asked_by(self.tests)


def assembled(problem: FileProblem, program: str) -> str:
    """The program that runs: the question's imports, and what was answered."""
    if problem.head and not _defines(program, problem.entry):
        program = _completed(problem.head, program, problem.entry)
    elif problem.before:
        program = f"{problem.before.rstrip()}\n\n{program}"
    if problem.method and _has_method(program, problem.method):
        program += (
            f"\n\n\ndef {problem.method}(*args, **kwargs):\n    return Solution().{problem.method}(*args, **kwargs)\n"
        )
    return program


def _has_method(program: str, name: str) -> bool:
    """Whether it has the function in its class Solution and nowhere else."""
    tree = parses(program)
    if tree is None or name in defined(tree):
        return False
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Solution")
    return any(isinstance(part, ast.FunctionDef) and part.name == name for one in classes for part in one.body)


def _defines(program: str, name: str) -> bool:
    """Whether it defines the function; a program that is not Python by itself may be a function's body."""
    tree = parses(program)
    return f"def {name}(" in program if tree is None else name in defined(tree)


def _completed(head: str, body: str, entry: str) -> str:
    """A function's head with a body alone, whose indentation may be lost, on its first line or on all."""
    head, text = head.rstrip() + "\n", textwrap.dedent(body).strip("\n")
    first = f"    {body.strip()}"
    for tried in (body.strip("\n"), first, textwrap.indent(text, "    ")):
        tree = parses(head + tried)
        if tree is not None and getattr(tree.body[-1], "name", "") == entry:  # what follows it at the margin is no body
            return head + tried
    return head + body
