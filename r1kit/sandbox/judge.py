"""Rungs L1 to L3: run programs on their hidden tests and compare, outside the sandbox, what they gave."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from r1kit.sandbox.cases import AssertTest, CallTest, Case, StdinTest
from r1kit.sandbox.compare import same_output, same_value
from r1kit.sandbox.protocol import Limits, Outcome, Raised, Returned, Run, Sandbox

__all__ = ["Cause", "Judged", "Planned", "judge_programs", "passes", "runs_of"]

Cause = Literal[
    "ok", "no_code", "not_python", "error", "timeout", "memory", "output_limit", "wrong_answer", "killed",
    "sandbox_missing",
]  # fmt: skip
_BY_KIND: dict[str, Cause] = {"error": "error", "memory": "memory", "too_large": "output_limit"}
_STOPS = ("timeout", "memory", "output_limit", "killed", "not_python")
"""Causes after which a program's other inputs are not tried."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One run and the tests that it answers."""

    run: Run
    cases: tuple[Case, ...]


@dataclass(slots=True)
class Judged:
    """What the tests say of one program, so far."""

    program: str
    planned: list[Planned]
    parsed: bool = False
    runs: bool = True
    """No run so far ended with an error or at a limit."""
    passed: int = 0
    cause: Cause = "ok"
    """Of the first test that was not passed."""
    detail: str = ""
    seconds: float = 0.0
    done: int = 0
    """Planned runs that are over."""
    speed: float | None = None
    """Filled in by rung L4."""

    def fail(self, cause: Cause, detail: str) -> None:
        self.runs = self.runs and cause == "wrong_answer"
        if self.cause == "ok":
            self.cause, self.detail = cause, detail


def runs_of(program: str, tests: Sequence[Case]) -> list[Planned]:
    """All calls in one run, all asserts in another, and one run for each standard input."""
    calls = tuple(test for test in tests if isinstance(test, CallTest))
    planned = [Planned(Run(program=program, calls=tuple(test.call for test in calls)), calls)] if calls else []
    asserts = tuple(test for test in tests if isinstance(test, AssertTest))
    if asserts:
        names = tuple(sorted({name for test in asserts for name in test.names}))
        codes, setup = tuple(test.code for test in asserts), "\n".join(dict.fromkeys(test.setup for test in asserts))
        planned.append(Planned(Run(program=program, tests=codes, setup=setup, names=names), asserts))
    inputs = (test for test in tests if isinstance(test, StdinTest))
    return planned + [Planned(Run(program=program, stdin=test.stdin), (test,)) for test in inputs]


def judge_programs(
    programs: Sequence[str],
    tests: Sequence[Case],
    sandbox: Sandbox,
    limits: Limits,
    total_seconds: float,
    stop_early: bool = False,
) -> list[Judged]:
    """What the tests say of each program, in order. All programs take their first run together, then their second ...

    Args:
        programs: as they will be run.
        tests: at least one.
        sandbox: where they run.
        limits: of one run.
        total_seconds: wall clock of all runs of one program; tests that it does not reach are not passed.
        stop_early: leave a program's other inputs out once one test has failed.
    """
    judged = [Judged(program, runs_of(program, tests)) for program in programs]
    while alive := [each for each in judged if each.done < len(each.planned)]:
        roomy = [each for each in alive if total_seconds - each.seconds >= limits.seconds]
        _advance(roomy, sandbox, limits)
        for each in alive:
            if each not in roomy:
                _advance([each], sandbox, replace(limits, seconds=max(0.01, total_seconds - each.seconds)))
        for each in alive:
            if each.seconds >= total_seconds and each.done < len(each.planned):
                each.fail("timeout", f"its tests took more than {total_seconds:g} s together")
            if each.cause in _STOPS or (stop_early and each.cause != "ok"):
                each.done = len(each.planned)
    return judged


def _advance(alive: Sequence[Judged], sandbox: Sandbox, limits: Limits) -> None:
    """Each program's next run."""
    outcomes = sandbox.run([each.planned[each.done].run for each in alive], limits) if alive else []
    for each, outcome in zip(alive, outcomes, strict=True):
        planned = each.planned[each.done]
        each.done += 1
        each.parsed = each.parsed or outcome.parsed
        each.seconds += outcome.seconds
        for case, (cause, detail) in zip(planned.cases, _causes(planned, outcome), strict=True):
            if cause == "ok":
                each.passed += 1
            else:
                each.fail(cause, detail or _named(case))


def passes(planned: Planned, outcome: Outcome) -> bool:
    """Whether a run passed every test that it answers."""
    return all(cause == "ok" for cause, _ in _causes(planned, outcome))


def _causes(planned: Planned, outcome: Outcome) -> list[tuple[Cause, str]]:
    """For each test of the run why it was not passed, or ``ok``."""
    if planned.run.stdin is not None:
        (case,) = planned.cases
        assert isinstance(case, StdinTest)
        if outcome.end != "ok":
            return [(outcome.end, outcome.detail)]
        if same_output(outcome.stdout, case.stdout):
            return [("ok", "")]
        given = outcome.stdout[:200].decode("utf-8", "replace")
        return [("wrong_answer", f"for input {_short(case.stdin)} printed {_short(given)}, not {_short(case.stdout)}")]
    found: list[tuple[Cause, str]] = []
    for number, case in enumerate(planned.cases):
        if number < len(outcome.calls):
            found.append(_cause(case, outcome.calls[number]))
        else:
            found.append((outcome.end, outcome.detail) if outcome.end != "ok" else ("error", "it gave no answer"))
    return found


def _cause(case: Case, given: Returned | Raised) -> tuple[Cause, str]:
    if isinstance(given, Raised):
        return _BY_KIND.get(given.kind, "wrong_answer"), f"{_named(case)}: {given.error}"
    if not isinstance(case, CallTest):
        return ("ok", "") if given.value is True else ("error", "it gave no answer")
    if any(same_value(given.value, value, python=case.python) for value in (case.expect, *case.others)):
        return "ok", ""
    return "wrong_answer", f"{case.call[:120]} gave {_short(given.value)}, not {_short(case.expect)}"


def _named(case: Case) -> str:
    if isinstance(case, StdinTest):
        return f"input {_short(case.stdin)}"
    return case.call[:120] if isinstance(case, CallTest) else " ".join(case.code.split())[-120:]


def _short(value: object) -> str:
    """A value as Python writes it, cut; what does not print is escaped."""
    return _shortener.repr(value)


class _Shortener(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if abs(x) < 10**400 else f"an integer of {x.bit_length()} bits"


_shortener = _Shortener()
_shortener.maxstring = _shortener.maxother = 80
_shortener.maxlist = _shortener.maxtuple = _shortener.maxdict = _shortener.maxset = 12
