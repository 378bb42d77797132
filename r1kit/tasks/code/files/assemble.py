"""The program that runs, from a problem and what was answered."""

from __future__ import annotations

import ast
import textwrap

from r1kit.sandbox.trees import defined, parses
from r1kit.tasks.code.files.problem import FileProblem

__all__ = ["assembled"]


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
