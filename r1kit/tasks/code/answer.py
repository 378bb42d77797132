"""From an answer to a program, and the form of a program in which equal ones are equal strings."""

from __future__ import annotations

import ast

from r1kit.sandbox.extract import Asked, bare_program, find_program
from r1kit.sandbox.trees import parses

__all__ = ["canonical_expression", "canonical_program", "final_answer", "parses", "program_of"]


def program_of(answer: str, asked: Asked = Asked()) -> str:  # noqa: B008 - frozen
    """The block of Python in an answer that is the program (``find_program``), or else what is Python in its text."""
    found = find_program(answer, "block", asked)
    return bare_program(answer) if found is None else found.program


def final_answer(text: str) -> str:
    """What ``grade`` would be given of a completion: the inside of its one pair of answer tags, else all after its
    thinking."""
    if text.count("<answer>") == text.count("</answer>") == 1:
        inside = text.partition("<answer>")[2].partition("</answer>")
        return inside[0].strip() if inside[1] else text
    return text.rpartition("</think>")[2]


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
