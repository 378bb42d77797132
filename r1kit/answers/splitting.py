"""Cutting a text at commas and signs that stand outside all brackets."""

from __future__ import annotations

import re

__all__ = ["bracketed", "depths", "split_list", "split_top"]

_LIST = re.compile(
    r"\s*(?:[,;]\s*(?:and|or)\b|[,;]|\\wedge|\\vee|\\text\{(?:and|or)\}|(?<![A-Za-z])(?:and|or)(?![A-Za-z])|和|或|且|与|以及)\s*"
)
_COMMA = re.compile(r"\s*[,;]\s*")
_BRACKET = re.compile(r"\\begin\{|\\end\{|\\[{}]|\\langle|\\rangle|[()\[\]{}]")
_OPENING = ("(", "[", "{", "\\{", "\\begin{", "\\langle")


def depths(text: str) -> list[int]:
    """How many brackets of any kind stand open at each character; ``(1, 3]`` closes what it opens."""
    depth, found, place = 0, [0] * len(text), 0
    for match in _BRACKET.finditer(text):
        for at in range(place, match.start()):
            found[at] = depth
        if match[0] in _OPENING:
            depth += 1
            if match[0] == "\\begin{":
                depth += 1
        else:
            depth -= 1
        for at in range(match.start(), match.end()):
            found[at] = max(depth, 1)
        if match[0] == "\\end{":
            depth += 1
        place = match.end()
    for at in range(place, len(text)):
        found[at] = depth
    return found


def _cut(text: str, separator: re.Pattern[str]) -> list[str]:
    level, parts, start = depths(text), [], 0
    for match in separator.finditer(text):
        if match.end() > match.start() and level[match.start()] == 0 and level[match.end() - 1] == 0:
            parts.append(text[start : match.start()].strip())
            start = match.end()
    return [*parts, text[start:].strip()]


def split_top(text: str, sign: str) -> list[str]:
    return _cut(text, re.compile(re.escape(sign) + (r"(?![A-Za-z])" if sign[-1].isalpha() else "")))


def split_list(text: str, words: bool = True) -> list[str]:
    """The items of a list: cut at commas, semicolons and, between formulas, ``and`` and ``or``."""
    return _cut(text, _LIST if words else _COMMA)


def bracketed(text: str, start: str, end: str) -> str | None:
    """What stands between two brackets that are the first and last of the text and belong together."""
    if not (text.startswith(start) and text.endswith(end)) or len(text) < len(start) + len(end):
        return None
    inside = text[len(start) : len(text) - len(end)]
    level = depths(text)
    if any(depth < 1 for depth in level):
        return None
    return inside.strip()
