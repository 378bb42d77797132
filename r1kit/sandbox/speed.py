"""Rung L4: a right program's processor time against a reference's, as the kernel counted it outside the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from r1kit.errors import InputError
from r1kit.sandbox.cases import CallTest, Case
from r1kit.sandbox.judge import Planned, passes, runs_of
from r1kit.sandbox.protocol import Limits, Sandbox

__all__ = ["share_saved", "speed_of"]

ENOUGH_SECONDS = 0.05
"""Processor time of the reference from which a timer's noise does not matter; rounds are added until it is reached."""
LEAST_SECONDS = 0.005
"""Below this, beyond an empty program's time, a reference is too quick to compare with."""
MAX_CALLS = 8192


def speed_of(
    program: str, reference: str, tests: Sequence[Case], limits: Limits, sandbox: Sandbox, repeats: int
) -> float | None:
    """Share of the reference's time that ``program`` saves, 0 to 1; None where the tests are too small to tell.

    Calls are repeated in one process until the reference takes long enough, and every answer of every round is compared
    again: a program that is right once and merely fast afterwards saves nothing. A script is run once a repeat, so its
    inputs must be large enough. What starting costs is taken off both, by timing an empty program.

    Args:
        program: passed the tests.
        reference: what it is compared with.
        tests: what both answer.
        limits: of one run.
        sandbox: where both run.
        repeats: timed runs of each, in turns; their medians count.

    Raises:
        InputError: the reference fails the tests.
    """
    rounds, calls = 1, sum(isinstance(test, CallTest) for test in tests)
    taken = _seconds(reference, tests, rounds, limits, sandbox)
    if taken is None:
        raise InputError("the reference program does not pass the tests, so no time can be compared with its time")
    while taken < ENOUGH_SECONDS and calls and 2 * rounds * calls <= MAX_CALLS:
        rounds *= 2
        longer = _seconds(reference, tests, rounds, limits, sandbox)
        if longer is None:  # too much for a run's limits
            rounds //= 2
            break
        taken = longer
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(repeats):
        seconds = _seconds(program, tests, rounds, limits, sandbox)
        if seconds is None:
            return 0.0
        ours.append(seconds)
        theirs.append(_seconds(reference, tests, rounds, limits, sandbox) or taken)
    empty = median(_empty(tests, rounds, limits, sandbox) for _ in range(repeats))
    return share_saved(median(ours) - empty, median(theirs) - empty)


def share_saved(seconds: float, reference_seconds: float) -> float | None:
    """``clip((reference - ours) / reference, 0, 1)``; None if the reference is too quick to be timed."""
    if reference_seconds < LEAST_SECONDS:
        return None
    return min(1.0, max(0.0, (reference_seconds - max(0.0, seconds)) / reference_seconds))


def _rounds(program: str, tests: Sequence[Case], rounds: int) -> list[Planned]:
    """The tests' runs, calls repeated within theirs."""
    return [
        each if not each.run.calls else Planned(replace(each.run, calls=each.run.calls * rounds), each.cases * rounds)
        for each in runs_of(program, tests)
    ]


def _seconds(program: str, tests: Sequence[Case], rounds: int, limits: Limits, sandbox: Sandbox) -> float | None:
    """Processor seconds of all runs; None if any answer is not right."""
    total = 0.0
    for planned in _rounds(program, tests, rounds):
        outcome = sandbox.run([planned.run], limits)[0]
        if not passes(planned, outcome):
            return None
        total += outcome.cpu_seconds
    return total


def _empty(tests: Sequence[Case], rounds: int, limits: Limits, sandbox: Sandbox) -> float:
    """Processor seconds of the same runs with nothing to compute."""
    runs = [replace(each.run, calls=("None",) * len(each.run.calls)) for each in _rounds("", tests, rounds)]
    return sum(sandbox.run([run], limits)[0].cpu_seconds for run in runs)
