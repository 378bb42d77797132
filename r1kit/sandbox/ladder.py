"""The ladder: a code block is there (L0), it is Python (L1), runs (L2), passes hidden tests (L3), is fast (L4).

Every rung's result is kept; by default only L3 pays, so that nothing is earned by code that is merely tidy. The
expected values never enter the sandbox: the program gives candidate values and the comparison happens here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from r1kit.errors import InputError, MissingError, R1Error, nearest
from r1kit.sandbox.cases import Case
from r1kit.sandbox.extract import EXTRACTS, Extract, Found, asked_by, find_program
from r1kit.sandbox.judge import Cause, Judged, judge_programs
from r1kit.sandbox.protocol import Limits, Sandbox
from r1kit.sandbox.speed import speed_of

__all__ = ["RULES", "Cause", "LadderSettings", "Rungs", "Verdict", "check_ruff", "climb", "climb_many", "lint_errors"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderSettings:
    """What each rung pays, and how far a program may go. The reward is the sum of what the rungs pay."""

    extract: Extract = "block"
    """block: the last fenced Python block of a completion; whole: the text is the program; either: whichever it is."""
    lint: Literal["parse", "ruff"] = "parse"
    """L1. parse: it compiles, found inside the sandbox at no extra cost; ruff: its error-class rules too (20 ms)."""
    pay_block: float = 0.0
    """L0. Like the next two 0 by default, or a policy farms it."""
    pay_lint: float = 0.0
    """L1."""
    pay_runs: float = 0.0
    """L2."""
    pay_tests: float = 1.0
    """L3: all tests passed."""
    partial: bool = False
    """L3 pays the share of tests passed instead of all or nothing."""
    stop_early: bool = False
    """Leave a program's other inputs out once a test has failed; fewer tests then count as passed."""
    pay_speed: float = 0.0
    """L4, times the share of the reference's time that is saved, and only if all tests passed; keep it below .1."""
    speed_repeats: int = 5
    """Timed runs of the program and of the reference, of which the medians count."""
    total_seconds: float = 8.0
    """Wall clock for all tests of one program; tests that it does not reach are not passed."""
    limits: Limits = field(default_factory=Limits)
    """Of one run: of all calls together, or of one input."""

    def __post_init__(self) -> None:
        for name, allowed in (("extract", EXTRACTS), ("lint", ("parse", "ruff"))):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"ladder: {name} is {value!r}; allowed: {allowed}.{nearest(value, allowed)}")
        if not 0 <= self.pay_speed <= 0.5 or self.speed_repeats < 1 or self.total_seconds <= 0:
            raise InputError("ladder: needs 0 <= pay_speed <= 0.5, speed_repeats >= 1 and total_seconds > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rungs:
    """How far a program came."""

    block: bool = False
    lint: bool = False
    runs: bool = False
    """Every run ended by itself, without an error and within its limits."""
    passed: int = 0
    total: int = 0
    speed: float | None = None
    """Share of the reference's processor time that is saved, 0 to 1; None: not measured."""

    def as_json(self) -> dict[str, Any]:
        tests = {"passed": self.passed, "total": self.total}
        return {"block": self.block, "lint": self.lint, "runs": self.runs, "tests": tests, "speed": self.speed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the ladder says of one completion."""

    reward: float
    rungs: Rungs
    cause: Cause
    detail: str = ""
    """One line for a person; holds what the program said, so it is untrusted text without control characters."""

    def as_json(self) -> dict[str, Any]:
        return {"reward": self.reward, "rungs": self.rungs.as_json(), "cause": self.cause}


def climb(
    text: str, tests: Sequence[Case], settings: LadderSettings, sandbox: Sandbox, reference: str | None = None
) -> Verdict:
    """Take one completion up the ladder.

    Args:
        text: a completion, or a program where ``settings.extract`` is ``whole``.
        tests: hidden from the program: it sees the inputs one run gets, never an expected value.
        settings: what is paid and what is allowed.
        sandbox: where it runs.
        reference: a right program whose time L4 compares with; None leaves L4 out.

    Raises:
        InputError: no tests, or a reference that fails them.
        MissingError: the walls, or ruff where it was asked for, are not there.
    """
    return climb_many([text], tests, settings, sandbox, reference)[0]


def climb_many(
    texts: Sequence[str],
    tests: Sequence[Case],
    settings: LadderSettings,
    sandbox: Sandbox,
    reference: str | None = None,
) -> list[Verdict]:
    """Verdicts of several completions of one problem, in order, side by side where the sandbox has several workers."""
    if not tests:
        raise InputError("a program cannot be judged without tests")
    asked = asked_by(tests)
    found = [find_program(text, settings.extract, asked) for text in texts]
    programs = [(number, each.program) for number, each in enumerate(found) if each and each.python]
    judged = judge_programs(
        [program for _, program in programs],
        tests,
        sandbox,
        settings.limits,
        settings.total_seconds,
        settings.stop_early,
    )
    for each in judged:
        if reference is not None and each.passed == len(tests):
            repeats = settings.speed_repeats
            each.speed = speed_of(each.program, reference, tests, settings.limits, sandbox, repeats)
    by_number = {number: each for (number, _), each in zip(programs, judged, strict=True)}
    return [_verdict(found[number], by_number.get(number), len(tests), settings) for number in range(len(texts))]


def _verdict(found: Found | None, judged: Judged | None, total: int, settings: LadderSettings) -> Verdict:
    if found is None:
        return Verdict(reward=0.0, rungs=Rungs(total=total), cause="no_code", detail="no code block")
    if judged is None:
        rungs = Rungs(block=True, total=total)
        detail = "its code block is marked as another language"
        return Verdict(reward=_reward(rungs, settings), rungs=rungs, cause="not_python", detail=detail)
    lint = lint_errors(judged.program) if judged.parsed and settings.lint == "ruff" else []
    rungs = Rungs(
        block=True, lint=judged.parsed and not lint, runs=judged.runs, passed=judged.passed, total=total,
        speed=judged.speed,
    )  # fmt: skip
    detail = judged.detail or "; ".join(lint)
    return Verdict(reward=_reward(rungs, settings), rungs=rungs, cause=judged.cause, detail=detail)


def _reward(rungs: Rungs, settings: LadderSettings) -> float:
    passed = rungs.passed / rungs.total
    tests = passed if settings.partial else float(passed == 1.0)
    speed = rungs.speed if rungs.speed is not None and passed == 1.0 else 0.0
    return (
        settings.pay_block * rungs.block
        + settings.pay_lint * rungs.lint
        + settings.pay_runs * rungs.runs
        + settings.pay_tests * tests
        + settings.pay_speed * speed
    )
