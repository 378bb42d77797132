"""Every error that reaches a user, one line each: what was wrong, what is allowed, what to do.

R1Error                  exit code 1   failed while running
├── InputError           exit code 2   the user's input: a recipe, a key, a file, a flag
├── MissingError         exit code 3   something needed is not here; the message names what to install
├── RankError            exit code 1   a rank of the run died; the message is that rank's last line
├── PeerLostError        exit code 75  a rank found another one gone; shown only where nothing better is known
└── Interrupted          exit code 130 Ctrl-C, or a polite kill of the run
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

__all__ = [
    "NO_HOME",
    "NO_HOME_TOLD",
    "InputError",
    "Interrupted",
    "MissingError",
    "PeerLostError",
    "R1Error",
    "RankError",
    "first_line",
    "is_file_limit",
    "is_full_disk",
    "nearest",
]

TORCH_WRITES = ("file write failed", "iostream error")
"""Where torch's writer could not write; it does not say why."""

NO_HOME = "Could not determine home directory."
"""What ``pathlib`` raises as a RuntimeError for ``~``, or ``~NAME``, of nobody here."""
NO_HOME_TOLD = "no home folder is known for a path with ~; spell the path out, and set HOME if it is missing"


class R1Error(Exception):
    """The run failed; ``str(error)`` is the one line a user sees."""

    exit_code = 1


class InputError(R1Error):
    """The user's input is wrong; nothing was changed."""

    exit_code = 2


class MissingError(R1Error):
    """Something needed is missing on this machine; the message names the command that brings it."""

    exit_code = 3


class RankError(R1Error):
    """A rank ended before its work was done."""


class PeerLostError(R1Error):
    """A collective broke because another rank is gone; that rank knows why."""

    exit_code = 75


class Interrupted(R1Error):
    """The user stopped the run; it can go on."""

    exit_code = 130


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the closest allowed word, or an empty string."""
    found = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {found[0]!r}?" if found else ""


def first_line(error: BaseException) -> str:
    """What an error says, cut to one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_full_disk(error: BaseException) -> bool:
    """OSError says so by its number; torch's writer and safetensors' by their text, or by what they hide."""
    return _is_told(error, (errno.ENOSPC, errno.EDQUOT), ("No space left on device", "os error 28", *TORCH_WRITES))


def is_file_limit(error: BaseException) -> bool:
    """Whether a file would have grown past what ``ulimit -f``, or its file system, allows; told as a full disk is."""
    return _is_told(error, (errno.EFBIG,), ("os error 27", *(TORCH_WRITES if _is_limited() else ())))


def _is_told(error: BaseException, numbers: tuple[int, ...], texts: tuple[str, ...]) -> bool:
    """By the error or by one that it hides."""
    if isinstance(error, OSError) and error.errno in numbers:
        return True
    if any(text in str(error) for text in texts):
        return True
    hidden = error.__cause__ or error.__context__
    return hidden is not None and _is_told(hidden, numbers, texts)


def _is_limited() -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
