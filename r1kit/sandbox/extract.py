"""Take the program out of a completion: rung L0. Nothing is parsed or judged here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["EXTRACTS", "Extract", "Found", "find_program"]

Extract = Literal["block", "whole", "either"]
EXTRACTS: tuple[str, ...] = get_args(Extract)
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_PYTHON = ("", "python", "python3", "py")
_CODE = re.compile(
    r"^\s*(?:import|from|def|class|return|for|while|if|with|try|print|echo|function|const|let|var|fn|#include|#!)\b"
    r"|\w\(|[\w\])]\s*[-+*/]?=\s*\S|[;{}]\s*$",
    re.MULTILINE,
)
"""What a line of code has and a sentence has not, in any language."""


@dataclass(frozen=True, slots=True)
class Found:
    """A block of code."""

    program: str
    python: bool
    """False: it is marked as another language."""


def find_program(text: str, extract: Extract = "block") -> Found | None:
    """The program in a completion, None if there is none.

    ``block``: the last fenced block marked ``python`` or not marked; if every block is marked as another language, the
    last of those. A block that was never closed was cut, and does not count.
    ``whole``: the text as it is, None only if it is blank.
    ``either``: the block if any is fenced, else the whole text, None if no line of it looks like code.
    """
    if extract == "whole" or (extract == "either" and not _FENCE.search(text) and _CODE.search(text)):
        return Found(text, True) if text.strip() else None
    blocks = [Found(body, mark.lower() in _PYTHON) for mark, body in _FENCE.findall(text)]
    python = [block for block in blocks if block.python]
    chosen = python or blocks
    return chosen[-1] if chosen else None
