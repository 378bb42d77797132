"""From an answer to a program, and the form of a program in which equal ones are equal strings."""

from __future__ import annotations

import ast
import warnings

from r1kit.sandbox.extract import find_program

__all__ = ["canonical_expression", "canonical_program", "program_of"]

LONGEST = 100_000
"""Characters of an answer; what is longer is no program."""


def program_of(answer: str) -> str:
    """The last block of Python in an answer, or all of it where it has no block."""
    found = find_program(answer, "block")
    return answer if found is None else found.program


def canonical_program(text: str) -> str:
    """The program as ``ast.unparse`` writes it, without its comments; other text with its spaces evened out."""
    tree = _parsed(text, "exec")
    return " ".join(text.split()) if tree is None else tree


def canonical_expression(text: str) -> str | None:
    """The same for one expression; None if the text is not one."""
    return _parsed(text.strip(), "eval")


def _parsed(text: str, mode: str) -> str | None:
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" and the like are the program's own affair
            return ast.unparse(ast.parse(text, mode=mode))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
