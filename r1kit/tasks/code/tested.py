"""A problem with the tests that were written for it, as a line of code/mbpp or code/stdio."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any, NamedTuple

from r1kit.files import Line
from r1kit.sandbox import AssertTest, CallTest, Case, LadderSettings, Sandbox, StdinTest, climb_many
from r1kit.tasks.code.files.asserts import asserted_cases
from r1kit.tasks.code.files.formats import PARSERS
from r1kit.tasks.code.untested import Untested
from r1kit.tasks.code.written_tests import Written

__all__ = ["tested"]

EXAMPLE = 200
"""Longest test, in characters, that is picked as the example."""
COUNTED = {
    "a trusted solution fails it": "trusted_fails",
    "a trusted solution gives no plain value": "trusted_fails",
    "no wrong solution fails it": "no_wrong_fails",
}
"""Why a test was dropped -> its name in the provenance; every other reason is ``unusable``."""
COUNTS = ("written", "kept", "trusted_fails", "no_wrong_fails", "unusable", "together", "caught", "wrong")
"""Of a problem, in its provenance. ``together``: dropped because right programs fail them all in one verdict.
``caught``: wrong solutions that fail what is kept, of all ``wrong`` ones."""


class _Row(NamedTuple):
    test: str | dict[str, str] | None
    """As its format has it."""
    origin: str
    exposes: int

    @property
    def length(self) -> int:
        return len(str(self.test))


def tested(
    problem: Untested, written: Written, ladder: LadderSettings, sandbox: Sandbox
) -> tuple[dict[str, Any] | None, Counter[str]]:
    """The problem's line, None if it is left out, and what became of its tests.

    Tests were tried one by one; training runs them together, under one set of limits. Long ones go until every trusted
    solution passes what is left. ``mbpp`` shows the first one, here a short one that many wrong solutions fail; so a
    function needs a second one, which stays hidden.
    """
    counts = Counter(written=written.drafts)
    for reason, number in written.dropped.items():
        counts[COUNTED.get(reason, "unusable")] += number
    rows = list(map(_Row, map(_spelled, written.tests), written.origins, written.exposes))
    kept = sorted((row for row in rows if row.test), key=lambda row: row.length)
    counts["unusable"] += len(rows) - len(kept)
    if kept and problem.form == "mbpp":
        example = max(kept, key=lambda row: row.exposes if row.length <= EXAMPLE else 0)
        kept = [example, *(row for row in kept if row is not example)]
    least = 2 if problem.form == "mbpp" else 1
    while len(kept) >= least:
        line = _line(problem, [row.test for row in kept])
        parsed = PARSERS[problem.form](Line(problem.where, 1, line), "", "")
        right, wrong = (
            [verdict.rungs.passed == len(kept) for verdict in climb_many(programs, parsed.tests, ladder, sandbox)]
            for programs in (problem.subject.trusted, problem.subject.wrong)
        )
        if all(right):
            counts.update(kept=len(kept), caught=wrong.count(False), wrong=len(wrong))
            made = {name: counts[name] for name in COUNTS}
            origins, exposes = [row.origin for row in kept], [row.exposes for row in kept]
            line["provenance"] = {"writer": written.writer, **made, "origins": origins, "exposes": exposes}
            return line, counts
        counts["together"] += len(kept) - len(kept) * 3 // 4
        kept = kept[: len(kept) * 3 // 4]
    counts["alone" if kept else "without"] += 1
    return None, counts


def _line(problem: Untested, tests: list[Any]) -> dict[str, Any]:
    subject = problem.subject
    if problem.form == "mbpp":
        line = {"task_id": subject.id, "text": subject.question, "code": subject.trusted[0], "test_list": tests}
    else:
        line = {"id": subject.id, "prompt": subject.question, "answer": subject.trusted[0], "tests": tests}
    return {**line, **problem.passed_on}


def _spelled(test: Case) -> str | dict[str, str] | None:
    """The test as its format has it; None where reading that would not give the same test back."""
    if isinstance(test, StdinTest):
        return {"stdin": test.stdin, "stdout": test.stdout}
    if isinstance(test, AssertTest):
        return test.code
    for call in (test.call, f"({test.call})"):
        text = f"assert {call} == {test.expect!r}"
        try:
            (read,) = asserted_cases([text])
            if isinstance(read, CallTest) and _plain(read.call) == _plain(test.call) and read.expect == test.expect:
                return text
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
    return None


def _plain(call: str) -> str:
    return ast.unparse(ast.parse(call, mode="eval"))
