"""Rung L1's second half: ruff's error-class rules. Style is not asked for, so style cannot pay."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from r1kit.errors import MissingError, R1Error

__all__ = ["RULES", "check_ruff", "lint_errors"]

RULES = ("E9", "F63", "F7", "F82")
"""Syntax and I/O errors; comparisons that cannot be meant; statements out of place; names that are not defined."""
SECONDS = 10.0
MAX_LINES = 5


@cache
def check_ruff() -> str:
    """Where ruff is.

    Raises:
        MissingError: it is not installed.
    """
    beside = Path(sys.executable).parent / "ruff"
    found = str(beside) if beside.is_file() else shutil.which("ruff")
    if found is None:
        raise MissingError("ruff is missing, which the ladder's lint rung asks for; run: pip install ruff")
    return found


def lint_errors(program: str) -> list[str]:
    """What ruff finds, a line each (``line 3: F821 Undefined name ...``); empty where there is nothing.

    Ruff parses the program and does not run it; it gets no configuration but this, and a deadline.
    """
    version = f"py3{sys.version_info.minor}"
    options = ["--isolated", "--no-cache", "--quiet", "--output-format", "concise", "--target-version", version]
    command = [check_ruff(), "check", *options, "--select", ",".join(RULES), "--stdin-filename", "program.py", "-"]
    try:
        done = subprocess.run(
            command, input=program.encode("utf-8", "replace"), capture_output=True, timeout=SECONDS, check=False, env={}
        )
    except subprocess.TimeoutExpired:
        return [f"ruff took more than {SECONDS:g} s"]
    if done.returncode == 0:
        return []
    found = [_spelled(line) for line in done.stdout.decode(errors="replace").splitlines() if "program.py:" in line]
    if done.returncode != 1 or not found:
        raise R1Error(f"ruff failed: {' '.join(done.stderr.decode(errors='replace').split())[:200]}")
    return found[:MAX_LINES]


def _spelled(line: str) -> str:
    """``program.py:3:5: F821 Undefined name `x``` -> ``line 3: F821 Undefined name `x```."""
    _, number, _, said = line.split(":", 3)
    return f"line {number}:{said}"
