"""Take programs up the ladder in a sandbox that is opened when the first one comes; equal programs are judged once.

A group's programs are taken up ``workers`` at a time and their verdicts kept, so that judging them one by one, which
the verifier does, finds them.
"""

from __future__ import annotations

import atexit
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from r1kit.sandbox import Case, LadderSettings, Sandbox, SandboxSettings, Verdict, climb, climb_many, open_sandbox
from r1kit.tasks.task import Grade

__all__ = ["Judge", "grade_of", "rungs_of"]

_KEPT = 16384
"""Verdicts remembered, the latest ones."""


class Judge:
    """Judges programs of one task in the process that asks.

    The verifier's process calls it and may be killed at any moment; the sandbox's processes end with theirs.
    """

    def __init__(self, sandbox: SandboxSettings, ladder: LadderSettings) -> None:
        self._settings = sandbox
        self._ladder = replace(ladder, extract="whole")
        self._sandbox: Sandbox | None = None
        self._verdicts: OrderedDict[tuple[str, str], Verdict] = OrderedDict()

    def verdict(
        self, problem: str, program: str, tests: Callable[[], Sequence[Case]], reference: str | None = None
    ) -> Verdict:
        """The ladder's verdict on a program of a problem.

        Args:
            problem: the prompt's id; a program is judged once for it.
            program: whole.
            tests: gives the hidden tests, asked for only if they must run.
            reference: a right program, whose time L4 compares with if it pays.

        Raises:
            MissingError: the sandbox is not there.
        """
        key = (problem, program)
        found = self._verdicts.pop(key, None)
        if found is None:
            timed = reference if self._ladder.pay_speed else None
            found = climb(program, tests(), self._ladder, self._opened(), timed)
        self._keep(key, found)
        return found

    def prepare(self, problem: str, programs: Iterable[str], tests: Callable[[], Sequence[Case]]) -> Iterator[None]:
        """Judge the programs that are new, ``workers`` side by side, and yield after each such row.

        Each row takes about as long as its slowest program, so a verifier's deadline holds for a row as it does for a
        program. With one worker nothing is done; nor where speed pays, which is timed with nothing beside it.

        Raises:
            MissingError: the sandbox is not there.
        """
        workers = self._settings.workers
        if workers == 1 or self._ladder.pay_speed:
            return
        new = [program for program in dict.fromkeys(programs) if (problem, program) not in self._verdicts]
        if len(new) < 2:
            return
        cases = tests()
        for start in range(0, len(new), workers):
            row = new[start : start + workers]
            for program, found in zip(row, climb_many(row, cases, self._ladder, self._opened()), strict=True):
                self._keep((problem, program), found)
            yield

    def _keep(self, key: tuple[str, str], verdict: Verdict) -> None:
        if len(self._verdicts) >= _KEPT:
            self._verdicts.popitem(last=False)
        self._verdicts[key] = verdict

    def close(self) -> None:
        """End the sandbox. Idempotent; a later program opens another."""
        if self._sandbox is not None:
            atexit.unregister(self.close)
            self._sandbox.close()
            self._sandbox = None

    def _opened(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = open_sandbox(self._settings)
            atexit.register(self.close)
        return self._sandbox


def grade_of(verdict: Verdict, canonical: str) -> Grade:
    """By default 1 where all tests passed, else 0."""
    return Grade(correct=min(1.0, max(0.0, verdict.reward)), canonical=canonical)


def rungs_of(verdict: Verdict | None) -> dict[str, float]:
    """The rungs as diagnostics, all 0 for a completion without a program.

    ``block`` a program is there, ``lint`` it is Python, ``runs`` it ends by itself within its limits,
    ``tests_passed`` share of the hidden tests, ``answer_right`` all of them.
    """
    if verdict is None:
        return dict.fromkeys(("block", "lint", "runs", "tests_passed", "answer_right"), 0.0)
    rungs = verdict.rungs
    return {
        "block": float(rungs.block),
        "lint": float(rungs.lint),
        "runs": float(rungs.runs),
        "tests_passed": rungs.passed / rungs.total if rungs.total else 0.0,
        "answer_right": float(0 < rungs.total == rungs.passed),
    }
