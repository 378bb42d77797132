"""From an answer to a program, and the form of a program in which equal ones are equal strings."""

from __future__ import annotations

import ast
import warnings

from r1kit.sandbox.extract import find_program

__all__ = ["canonical_expression", "canonical_program", "parses", "program_of"]

LONGEST = 100_000
"""Characters of a program that is looked at; what is longer counts as no Python."""


def program_of(answer: str) -> str:
    """The last block of Python in an answer, or all of it where it has no block."""
    found = find_program(answer, "block")
    return answer if found is None else found.program


def canonical_program(text: str) -> str:
    """The program as ``ast.unparse`` writes it, without its comments; other text with its spaces evened out."""
    tree = parses(text)
    written = None if tree is None else _written(tree)
    return " ".join(text.split()) if written is None else written


def canonical_expression(text: str) -> str | None:
    """The same for one expression on one line; None if the text is not one."""
    text = text.strip()
    body = None if "\n" in text else parses(text)
    if body is None or len(body.body) != 1 or not isinstance(body.body[0], ast.Expr):
        return None
    return _written(body)


def _written(tree: ast.Module) -> str | None:
    try:
        return ast.unparse(tree)
    except (ValueError, RecursionError):  # an integer of thousands of digits, brackets nested too deep
        return None


def parses(text: str) -> ast.Module | None:
    """The program's tree; None if it is not Python."""
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" and the like are the program's own affair
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
