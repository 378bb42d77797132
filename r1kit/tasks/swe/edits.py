"""Edits of a repository as a model writes them, and the repository after them. Plain texts; nothing is written to disk.

Two forms, which may stand side by side, each under the path of its file on a line of its own (an edit's path may have
``File:`` or a bullet before it)::

    shapes/area.py                          shapes/area.py
    <<<<<<< SEARCH                          ```python
        return 3 * radius**2                def circle(radius):
    =======                                     return pi * radius**2
        return pi * radius**2               ```
    >>>>>>> REPLACE

SEARCH must be whole lines that the file has exactly once; an empty SEARCH makes a new file. A fenced block is the whole
file. Paths that lead out of the repository, tests and what configures or patches them are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["Edit", "RefusedError", "apply", "edits_in", "is_guarded", "is_path"]

LONGEST = 100_000
"""Characters of an answer, and of a repository after it."""
MOST = 100
"""Edits of an answer."""
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_GUARDED = frozenset(
    ("conftest.py", "sitecustomize.py", "usercustomize.py", "pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml")
)
_TEST = re.compile(r"test_.*\.py|.*_test\.py|tests?")
_SEARCH, _MIDDLE, _REPLACE = re.compile(r"<{5,9} ?SEARCH"), re.compile(r"={5,9}"), re.compile(r">{5,9} ?REPLACE")
_FENCE = re.compile(r"(\s*)(```+|~~~+)")
_WORDS = re.compile(r"(?:[-+]|\d+[.)]|(?:(?:in|the|file|path|edit)(?::|\b)\s*)+)[*`]*\s+[*`]*|[*`]*", re.IGNORECASE)
"""What may stand before a path on its line."""
_NAME = re.compile(r"\S*\.(?:[A-Za-z]\w*|\S*/\S+)")


class RefusedError(ValueError):
    """Why an answer's edits cannot be used, in a few words."""


@dataclass(frozen=True, slots=True)
class Edit:
    path: str
    search: str | None
    """Lines to replace, each with its end; empty: a new file; None: ``replace`` is the whole file."""
    replace: str


def is_path(path: str) -> bool:
    """Whether a path stays inside the repository: relative, no part hidden or ``..``."""
    return len(path) <= 200 and _PATH.fullmatch(path) is not None


def is_guarded(path: str) -> bool:
    """Whether it is a test, or a file that a test runner reads by itself."""
    parts = path.split("/")
    return parts[-1] in _GUARDED or any(_TEST.fullmatch(part) for part in parts)


def edits_in(answer: str) -> list[Edit]:
    """The edits of an answer, in order; none where it has none.

    Raises:
        RefusedError: a block that does not end or has no path, or too much of anything.
    """
    if len(answer) > LONGEST:
        raise RefusedError(f"longer than {LONGEST} characters")
    lines = answer.replace("\r\n", "\n").split("\n")
    found: list[Edit] = []
    at, path, fence, bare = 0, "", "", False
    while at < len(lines):
        line, opening = lines[at].strip(), _FENCE.match(lines[at])
        if _SEARCH.fullmatch(line):
            middle = _next(lines, at + 1, _MIDDLE)
            end = _next(lines, middle + 1, _REPLACE)
            if not path:
                raise RefusedError("an edit without a path above it")
            found.append(Edit(path, _text(lines[at + 1 : middle]), _text(lines[middle + 1 : end])))
            at, bare = end, False  # a fenced block below is an example
        elif opening and fence:  # of the block that edits stand in
            fence = ""
        elif opening and any(_SEARCH.fullmatch(after.strip()) for after in lines[at + 1 : at + 3]):
            fence = opening[2]
            path = _path_of(lines[at + 1].strip())[0] or path
        elif opening:
            end = _closing(lines, at, opening)
            if path and bare:
                found.append(Edit(path, None, _text(lines[at + 1 : end])))
            at, path = end, ""
        elif line:
            named, bare = _path_of(line)
            path = named or (path if fence else "")
        if len(found) > MOST:
            raise RefusedError(f"more than {MOST} edits")
        at += 1
    return found


def _path_of(line: str) -> tuple[str, bool]:
    """The path that a line names, empty where it says more, and whether it stands alone: ``In `a.py`:`` is a path for
    edits, but a fenced block below that need not be the whole file.

    A name ends in an extension of letters: ``e.g.`` and ``Done.`` are words.
    """
    said = line.strip("#*` ")
    before = _WORDS.match(said)
    assert before is not None
    path = said[before.end() :].removesuffix(":").strip("*` ").removeprefix("./")
    return (path, not before[0].strip("*` ")) if _NAME.fullmatch(path) else ("", False)


def _next(lines: list[str], start: int, mark: re.Pattern[str]) -> int:
    for at in range(start, len(lines)):
        if mark.fullmatch(lines[at].strip()):
            return at
    raise RefusedError("a SEARCH/REPLACE block that does not end")


def _closing(lines: list[str], at: int, opening: re.Match[str]) -> int:
    """The next line with the fence that opens line ``at``, as far to the right as it at most."""
    for place in range(at + 1, len(lines)):
        if lines[place].strip() == opening[2] and len(lines[place]) - len(lines[place].lstrip()) <= len(opening[1]):
            return place
    raise RefusedError("a file's block that does not end")


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def apply(files: Mapping[str, str], edits: Collection[Edit]) -> dict[str, str]:
    """The repository after the edits.

    Raises:
        RefusedError: an edit that cannot be made, or may not; nothing is changed then.
    """
    after = dict(files)
    if not edits:
        raise RefusedError("no edit")
    for edit in edits:
        if not is_path(edit.path):
            raise RefusedError(f"a path that leads elsewhere: {edit.path[:80]!r}")
        if is_guarded(edit.path):
            raise RefusedError(f"an edit of {edit.path}, which is a test or decides how tests run")
        before = after.get(edit.path)
        if edit.search is None or (before is None and not edit.search):
            if before is None and not edit.path.endswith(".py"):
                raise RefusedError(f"a new file that is no module: {edit.path}")
            after[edit.path] = edit.replace
        elif before is None:
            raise RefusedError(f"no file {edit.path}")
        else:
            after[edit.path] = _replaced(before, edit)
    if sum(map(len, after.values())) > LONGEST:
        raise RefusedError(f"a repository of more than {LONGEST} characters")
    if after == dict(files):
        raise RefusedError("the edits change nothing")
    return after


def _replaced(before: str, edit: Edit) -> str:
    """The file with the one place where the lines stand replaced."""
    assert edit.search is not None
    whole = before if before.endswith("\n") else f"{before}\n"
    places = [at for at in _line_starts(whole) if edit.search and whole.startswith(edit.search, at)]
    if len(places) != 1:
        count = "nowhere" if not places else f"{len(places)} times"
        raise RefusedError(f"the lines to replace stand {count} in {edit.path}")
    return whole[: places[0]] + edit.replace + whole[places[0] + len(edit.search) :]


def _line_starts(text: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\n", text))]
