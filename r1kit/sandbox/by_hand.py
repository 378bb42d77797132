"""One program from files, taken up the ladder behind the same walls as in training: ``r1 verify --code``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from r1kit.errors import InputError
from r1kit.sandbox import Case, LadderSettings, SandboxSettings, Verdict, climb, open_sandbox
from r1kit.sandbox.extract import find_program
from r1kit.sandbox.trees import parses

__all__ = ["SETTINGS", "climb_by_hand", "read_program"]

MAX_BYTES = 1 << 20
"""Longest program, in bytes."""
SETTINGS = LadderSettings(extract="either", lint="ruff")
"""A program, or a completion with one in it."""


def climb_by_hand(text: str, cases: list[Case], reference: Path | None, packages: Sequence[str] = ()) -> Verdict:
    """Every rung, the reward and the cause.

    Raises:
        InputError: the reference cannot be used.
        MissingError: the sandbox is not there.
    """
    right = _reference(reference)
    sandbox = open_sandbox(SandboxSettings(packages=packages))
    try:
        return climb(text, cases, SETTINGS, sandbox, right)
    finally:
        sandbox.close()


def read_program(path: Path) -> str:
    """The text of a file that may hold a program; of a completion what follows its thinking, as in training.

    Raises:
        InputError: it is not there, too long, or no text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MB; a program is shorter")
        return _said(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a file with a program") from error


def _said(text: str) -> str:
    if ("<think>" not in text and "</think>" not in text) or parses(text) is not None:
        return text
    return text.rpartition("</think>")[2] if "</think>" in text else ""


def _reference(path: Path | None) -> str | None:
    """The right program, which may be fenced as an answer is."""
    if path is None:
        return None
    found = find_program(read_program(path), "either")
    if found is None or not found.python:
        raise InputError(f"{path} holds no Python program, so there is no time to compare with")
    return found.program
