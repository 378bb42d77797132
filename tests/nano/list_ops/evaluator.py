"""Runs a list_ops expression in this process, with nothing but what list_ops can say. For tests alone."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

ALLOWED = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Store, ast.List, ast.ListComp, ast.comprehension, ast.BinOp,
    ast.Add, ast.Mult, ast.Compare, ast.Gt, ast.Lt, ast.Subscript, ast.Slice, ast.UnaryOp, ast.USub, ast.Constant,
)  # fmt: skip


def run(text: str, values: Sequence[int]) -> Any:
    """The value over ``xs``. Raises SyntaxError or ValueError for text that list_ops cannot mean."""
    return eval(_compiled(text), {"__builtins__": {}, "sorted": sorted, "xs": list(values)})


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED) or (isinstance(node, ast.Name) and node.id not in ("xs", "x", "sorted")):
            raise ValueError(f"not in list_ops: {ast.dump(node)}")
    return compile(tree, "<list_ops>", "eval")
