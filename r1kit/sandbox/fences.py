"""Fenced blocks of code in a text, as CommonMark has them and as models write them.

As CommonMark has it: a fence is three or more backticks or tildes; it ends at a line of at least as many of the same,
or at the end of the text; it may stand in a list or a quotation, whose indentation is then taken off its lines; the
first word after it names the language. As models write it, besides: at the end of a line of prose or right after a
tag, where the language is Python; indented by four spaces or more; closed on the last line of the code; blocks within
a block of Markdown; and a text that begins inside a block, since the prompt had opened it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from r1kit.sandbox.trees import parses

__all__ = ["Block", "blocks"]

_PLACE = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t]|</?[a-z_]{1,20}>)*")
"""What may stand before a fence of any language."""
_MARK = re.compile(r"[{.\s]*([A-Za-z+#]+)([\d.]*)(?![\w-])")
_TAGS = re.compile(r"(?:[ \t]*</?[a-z_]{1,20}>)+[ \t]*")
_QUOTE = re.compile(r"[ \t]{0,3}>[ ]?")
_PYTHON = ("python", "py", "ipython", "cpython")
_TRIES = 8
"""Lines that end in a fence which are tried as the last line of a block, and blocks that may be split."""
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Block:
    program: str
    mark: str
    """Language in lower case, without a version; empty: not marked."""
    closed: bool = True

    @property
    def python(self) -> bool:
        return self.mark in _PYTHON


@dataclass(frozen=True, slots=True)
class _Opening:
    fence: str
    mark: str
    column: int
    """How far its lines may be indented by what it stands in."""
    quotes: int
    before: str


def blocks(text: str, depth: int = 0) -> list[Block]:
    """All of them, in order; ``depth``: how many blocks of Markdown it stands in."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found: list[Block] = []
    at = 0
    while at < len(lines):
        opening = _opening(lines[at])
        if opening is None:
            at += 1
            continue
        if not found and not opening.mark and not opening.before and _is_code("\n".join(lines[:at])):
            found.append(Block("\n".join(lines[:at]) + "\n", "python"))  # the prompt had opened it
            at += 1
            continue
        block, at = _block(lines, at, opening, len(found) < _TRIES)
        if block.mark in ("markdown", "md") and depth < _DEEPEST:
            found += blocks(block.program, depth + 1)
        else:
            found.append(block)
    return found


def _opening(line: str) -> _Opening | None:
    """The fence that a line opens."""
    starts = [place for place in (line.find("```"), line.find("~~~")) if place >= 0]
    if not starts:
        return None
    before, rest = line[: min(starts)], line[min(starts) :]
    info = rest.lstrip(rest[0])
    fence = rest[: len(rest) - len(info)]
    if fence[0] in info:
        return None  # code within a line
    named = _MARK.match(info.strip())
    mark = named[1].lower() if named else info.strip()[:20].lower()
    if _PLACE.fullmatch(before) is None:
        return _Opening(fence, mark, 0, 0, before) if mark in _PYTHON else None
    column = 0 if "<" in before else len(before.replace(">", "").expandtabs(4))
    return _Opening(fence, mark, column, before.count(">") if "<" not in before else 0, before.strip())


def _block(lines: list[str], at: int, opening: _Opening, may_split: bool) -> tuple[Block, int]:
    """The block that line ``at`` opens, and the number of the line after it.

    With ``may_split`` a block that was not closed before the next one was opened ends there, if it is Python.
    """
    body: list[str] = []
    tries = _TRIES
    inner = -1
    for place in range(at + 1, len(lines)):
        line = _inside(lines[place], opening)
        end = _TAGS.sub("", line).strip() if opening.fence[:3] in line else ""
        if len(end) >= len(opening.fence) and not end.strip(opening.fence[0]):
            if "".join(body[: max(inner, 0)]).strip() and _ends_before(body, inner):
                return _made(body[:inner], opening, closed=False), at + 1 + inner  # the next one was opened first
            return _made(body, opening), place + 1
        code = end.removesuffix(opening.fence)
        if end and code != end and tries:
            tries -= 1
            whole = [*body, line[: line.rfind(opening.fence)]]
            if parses("\n".join(whole)) is not None:
                return _made(whole, opening), place + 1
        if may_split and inner < 0 and end.startswith(opening.fence) and _opening(line) is not None:
            inner = len(body)
        body.append(line)
    return _made(body, opening, closed=False), len(lines)


def _ends_before(body: list[str], inner: int) -> bool:
    return parses("\n".join(body)) is None and parses("\n".join(body[:inner])) is not None


def _inside(line: str, opening: _Opening) -> str:
    """A line without the quotation marks and the indentation of what the block stands in."""
    for _ in range(opening.quotes):
        line = _QUOTE.sub("", line, count=1)
    blank = len(line) - len(line.lstrip(" "))
    return line[min(blank, max(0, opening.column - opening.quotes)) :]


def _made(body: list[str], opening: _Opening, *, closed: bool = True) -> Block:
    if not closed:
        while body and not _TAGS.sub("", body[-1]).strip():
            body = body[:-1]
    return Block("".join(f"{line}\n" for line in body), opening.mark, closed)


def _is_code(text: str) -> bool:
    """Whether what stands before a first fence is a program: a sentence seldom parses, and then has one line."""
    return "\n" in text.strip() and parses(text) is not None
