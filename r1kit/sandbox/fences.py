"""Fenced blocks of code in a text, as CommonMark has them and as models write them.

As CommonMark has it: a fence is three or more backticks or tildes; it ends at a line of at least as many of the same,
or at the end of the text; it may stand in a list or a quotation, whose indentation is then taken off its lines; the
first word after it names the language. As models write it, besides: at the end of a line of prose or right after a
tag, where the language is Python; indented by four spaces or more; closed on the last line of the code; blocks within
a block of Markdown; a text that begins inside a block, since the prompt had opened it; and fences within a program's
own text in three quotation marks, which close nothing where the program is Python only with what follows them.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from r1kit.sandbox.trees import parsed, parses

__all__ = ["Block", "blocks"]

_PLACE = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t]|</?[a-z_]{1,20}>)*")
"""What may stand before a fence of any language."""
_MARK = re.compile(r"[{.\s]*([A-Za-z+#]+)([\d.]*)(?![\w-])")
_TAGS = re.compile(r"(?:[ \t]*</?[a-z_]{1,20}>)+[ \t]*")
_QUOTE = re.compile(r"[ \t]{0,3}>[ ]?")
_PYTHON = ("python", "py", "ipython", "cpython", "pycon")
_LONG_TEXT = re.compile(r'"""|\'\'\'')
_TRIES = 8
"""Lines that end in a fence which are tried as the last line of a block, and blocks that are looked at for it."""
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
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _LONG_TEXT.search(text) and _is_program(text):
        return []  # its fences stand in its own texts
    lines = text.split("\n")
    found: list[Block] = []
    at = 0
    while at < len(lines):
        opening = _opening(lines[at])
        if opening is None:
            at += 1
            continue
        if not found and (end := _prefilled(lines, at)) is not None:
            found.append(Block("\n".join(lines[:end]) + "\n", "python"))
            at = end + 1
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


def _prefilled(lines: list[str], at: int) -> int | None:
    """The line that closes the block which the prompt had opened, line ``at`` or, where that stands in a text of the
    program's own, a later one; None if the prompt had opened none."""
    tries = _TRIES if _LONG_TEXT.search("\n".join(lines[:at])) else 1
    for place in range(at, len(lines)):
        opening = _opening(lines[place])
        if opening is None:
            continue
        if not opening.mark and not opening.before and _is_code("\n".join(lines[:place])):
            return place
        tries -= 1
        if not tries:
            break
    return None


def _block(lines: list[str], at: int, opening: _Opening, may_look: bool) -> tuple[Block, int]:
    """The block that line ``at`` opens, and the number of the line after it.

    With ``may_look`` a block that was not closed before the next one was opened ends there, if it is Python; and one
    that is Python only with what follows a fence in it goes on.
    """
    body: list[str] = []
    tries = _TRIES
    inner = -1
    for place in range(at + 1, len(lines)):
        line = _inside(lines[place], opening)
        end = _end(line, opening)
        if _closes(end, opening):
            if "".join(body[: max(inner, 0)]).strip() and _ends_before(body, inner):
                return _made(body[:inner], opening, closed=False), at + 1 + inner  # the next one was opened first
            further = _further(lines, place, body, opening) if may_look else None
            return further or (_made(body, opening), place + 1)
        code = end.removesuffix(opening.fence)
        if end and code != end and tries:
            tries -= 1
            whole = [*body, line[: line.rfind(opening.fence)]]
            if parses("\n".join(whole)) is not None:
                return _made(whole, opening), place + 1
        if may_look and inner < 0 and end.startswith(opening.fence) and _opening(line) is not None:
            inner = len(body)
        body.append(line)
    return _made(body, opening, closed=False), len(lines)


def _end(line: str, opening: _Opening) -> str:
    """A line that may close a block, without the tags around it; empty for any other."""
    return _TAGS.sub("", line).strip() if opening.fence[:3] in line else ""


def _closes(end: str, opening: _Opening) -> bool:
    return len(end) >= len(opening.fence) and not end.strip(opening.fence[0])


def _further(lines: list[str], place: int, body: list[str], opening: _Opening) -> tuple[Block, int] | None:
    """The block, and the line after it, where the fence of line ``place`` stands in a text of the program's own."""
    text = "\n".join(body)
    if opening.mark not in ("", *_PYTHON) or not _LONG_TEXT.search(text) or parsed(text) is not None:
        return None
    whole, tries = [*body, _inside(lines[place], opening)], _TRIES
    for at in range(place + 1, len(lines)):
        line = _inside(lines[at], opening)
        end = _end(line, opening)
        if end.endswith(opening.fence):
            tries -= 1
            program = whole if _closes(end, opening) else [*whole, line[: line.rfind(opening.fence)]]
            if parsed("\n".join(program)) is not None:
                return _made(program, opening), at + 1
            if not tries:
                return None
        whole.append(line)
    return (_made(whole, opening, closed=False), len(lines)) if parsed("\n".join(whole)) is not None else None


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


def _is_program(text: str) -> bool:
    """Whether the whole text is a program, and not only a quotation of one."""
    found = parsed(text)
    return found is not None and any(
        not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in found[1].body
    )
