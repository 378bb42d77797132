"""``r1 verify --code``: take one program up the ladder, behind the same walls as in training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from r1kit.errors import InputError, MissingError

if TYPE_CHECKING:
    from r1kit.sandbox import Case, LadderSettings, Verdict

__all__ = ["verify_code"]

MAX_BYTES = 1 << 20
"""Longest program, in bytes."""


def verify_code(code: Path | None, tests: Path | None, reference: Path | None, json_file: Path | None) -> None:
    """Print every rung, the reward and the cause.

    Raises:
        InputError: a file is not given or cannot be used.
        MissingError: the sandbox is not there; ``json_file`` says so too.
    """
    from r1kit.commands.output import check_writable, write_json
    from r1kit.sandbox import LadderSettings, Rungs, Verdict, read_cases

    if code is None or tests is None:
        raise InputError("r1 verify needs --code FILE and --tests FILE, and may have --reference FILE")
    check_writable(json_file)
    text, cases = _text(code), read_cases(tests)
    settings = LadderSettings(extract="either", lint="ruff")
    try:
        verdict = _climb(text, cases, settings, _program(reference))
    except MissingError:
        if json_file:
            missing = Verdict(reward=0.0, rungs=Rungs(total=len(cases)), cause="sandbox_missing")
            write_json(json_file, missing.as_json())
        raise
    typer.echo(_spelled(verdict, settings, reference is not None))
    if json_file:
        write_json(json_file, verdict.as_json())


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MB; a program is shorter")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a file with a program") from error


def _program(path: Path | None) -> str | None:
    """The reference, which may be fenced as an answer is."""
    from r1kit.sandbox.extract import find_program

    if path is None:
        return None
    found = find_program(_text(path), "either")
    if found is None or not found.python:
        raise InputError(f"{path} holds no Python program, so there is no time to compare with")
    return found.program


def _climb(text: str, cases: list[Case], settings: LadderSettings, reference: str | None) -> Verdict:
    from r1kit.sandbox import SandboxSettings, climb, open_sandbox

    sandbox = open_sandbox(SandboxSettings())
    try:
        return climb(text, cases, settings, sandbox, reference)
    finally:
        sandbox.close()


def _spelled(verdict: Verdict, settings: LadderSettings, timed: bool) -> str:
    rungs = verdict.rungs
    if rungs.speed is not None:
        speed = f"{rungs.speed:.2f} of the reference's time saved"
    elif not timed:
        speed = "not measured: no --reference"
    else:
        speed = "not measured: " + ("the tests are too small" if verdict.cause == "ok" else "only for right programs")
    rows = [
        ("L0 block", _yes(rungs.block), settings.pay_block),
        ("L1 lint", _yes(rungs.lint), settings.pay_lint),
        ("L2 runs", _yes(rungs.runs), settings.pay_runs),
        ("L3 tests", f"{rungs.passed} of {rungs.total}", settings.pay_tests),
        ("L4 speed", speed, settings.pay_speed),
    ]
    lines = [f"reward    {verdict.reward:g}"]
    lines += [f"  {name:9} {result} (pays {pay:g})" for name, result, pay in rows]
    return "\n".join([*lines, f"cause     {verdict.cause}" + (f": {verdict.detail}" if verdict.detail else "")])


def _yes(passed: bool) -> str:
    return "yes" if passed else "no"
