"""A text as a person reads it: pieces of plain text, of maths and of code, cut here and set as text on the page.

Maths stands in ``$$...$$``, ``\\[...\\]``, ``\\(...\\)`` or ``$...$``, where the dollar signs touch what they hold and
no digit follows, so that ``$5 and $6`` are prices. Code stands in fences or, within a line, in backticks. Nothing
here makes HTML: a piece of code is a list of words, each with the class that a highlighter gives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pygments import lex
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES, _TokenType
from pygments.util import ClassNotFound

from r1kit.web.plain import visible

__all__ = ["Piece", "pieces", "sections"]

Piece = dict[str, Any]
"""``kind`` (``text``, ``maths``, ``display``, ``code``, ``inline``) and ``text``; code has ``words``, too."""

MATHS = (("$$", "$$", "display"), ("\\[", "\\]", "display"), ("\\(", "\\)", "maths"), ("$", "$", "maths"))
LONGEST_MATHS, LONGEST_INLINE, LONGEST_CODE = 4000, 400, 20_000
"""Characters; what is longer is text, and code without colours."""
MOST_PIECES = 3000
"""What comes after so many is one piece of text."""
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})(?![`~])[ \t]*([\w+#-]{0,30})[^\n]*\n", re.MULTILINE)
_OPENS = re.compile(r"\$\$?|\\[\[(]|`")


def sections(text: str) -> dict[str, str]:
    """``thinking``, ``summary`` and ``answer``, those that a response has; ``rest`` where its tags are not whole."""
    before, closed, after = text.partition("</think>")
    summary, opened, answer = after.partition("<answer>")
    answer, ended, more = answer.rpartition("</answer>")
    if not closed or bool(opened) != bool(ended) or more.strip():
        return {"rest": text.strip()}
    found = {"thinking": before.lstrip().removeprefix("<think>"), "summary": summary, "answer": answer}
    return {name: part.strip() for name, part in found.items() if part.strip()}


def pieces(text: str) -> list[Piece]:
    """The whole text, in order."""
    found = list(islice(_found(text), MOST_PIECES + 1))
    if len(found) > MOST_PIECES:
        had = found[MOST_PIECES][0]
        found[MOST_PIECES:] = [(had, {"kind": "text", "text": visible(text[had:])})]
    return [piece for _, piece in found]


def _found(text: str) -> Iterator[tuple[int, Piece]]:
    """Each piece and where it begins."""
    place = 0
    while fence := _FENCE.search(text, place):
        mark, language = fence[1], fence[2]
        end = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$", re.MULTILINE).search(text, fence.end())
        yield from _in_lines(text, place, fence.start())
        code = visible(text[fence.end() : end.start() if end else len(text)])
        yield fence.start(), {"kind": "code", "text": code, "words": _words(code, language)}
        place = end.end() if end else len(text)
    yield from _in_lines(text, place, len(text))


def _in_lines(text: str, start: int, last: int) -> Iterator[tuple[int, Piece]]:
    """Maths and backticks outside of code blocks. No stretch is looked through twice, however long the text."""
    place = start
    closes: dict[str, int] = {}
    while opens := _OPENS.search(text, place, last):
        piece, end = _piece(text, last, opens.start(), opens[0], closes)
        if piece is None:
            place = opens.end()
            continue
        if start < opens.start():
            yield start, {"kind": "text", "text": visible(text[start : opens.start()])}
        yield opens.start(), piece
        place = start = end
    if start < last:
        yield start, {"kind": "text", "text": visible(text[start:last])}


def _piece(text: str, last: int, at: int, mark: str, closes: dict[str, int]) -> tuple[Piece | None, int]:
    """What begins here, and where it ends; ``closes`` keeps where each closing mark stands next."""
    begin = at + len(mark)
    closing, kind = {"`": ("`", "inline")}.get(mark) or next((c, k) for o, c, k in MATHS if o == mark)
    end = closes.get(mark, 0)
    if end < begin:
        end = text.find(closing, begin, last)
        closes[mark] = end = last if end < 0 else end
    if end == last or end - begin > (LONGEST_INLINE if mark in ("`", "$") else LONGEST_MATHS):
        return None, at
    inner = text[begin:end]
    if not inner.strip() or (mark in ("`", "$") and "\n" in inner):
        return None, at
    after = text[end + 1 : end + 2]
    if mark == "$" and (inner[0].isspace() or inner[-1].isspace() or after.isdecimal()):
        return None, at
    return {"kind": kind, "text": visible(inner.strip() if kind == "inline" else inner)}, end + len(closing)


def _words(code: str, language: str) -> list[tuple[str, str]]:
    """(class, words) in order; neighbours of one class together."""
    if len(code) > LONGEST_CODE:
        return [("", code)]
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [("", code)]
    found: list[tuple[str, str]] = []
    for kind, word in lex(code, lexer):
        name = _class(kind)
        if found and found[-1][0] == name:
            found[-1] = name, found[-1][1] + word
        else:
            found.append((name, word))
    return found


def _class(kind: _TokenType) -> str:
    """The short class of a kind of token, or of the kind above it."""
    while kind not in STANDARD_TYPES and kind.parent is not None:
        kind = kind.parent
    return str(STANDARD_TYPES.get(kind, ""))
