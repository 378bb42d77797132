"""The ladder: what each rung says, what it pays, how long it may take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from r1kit.errors import InputError
from r1kit.sandbox import (
    CallTest,
    LadderSettings,
    Limits,
    Outcome,
    Returned,
    Run,
    Sandbox,
    StdinTest,
    climb,
    climb_many,
)
from r1kit.sandbox.ladder import lint_errors
from r1kit.sandbox.speed import share_saved, speed_of

CALLS = [CallTest("f([3, 1])", [42, 1, 3]), CallTest("f([])", [42])]
RIGHT = "def f(x):\n    return [42] + sorted(x)\n"
WHOLE = LadderSettings(extract="whole", limits=Limits(seconds=60.0), total_seconds=60.0)
PAYING = replace(WHOLE, pay_block=0.01, pay_lint=0.02, pay_runs=0.04, pay_tests=0.8, pay_speed=0.1)


@pytest.mark.parametrize(
    ("program", "cause", "reward"),
    [
        ("def f(x: return", "not_python", 0.01),
        ("def f(x):\n    return y", "error", 0.03),
        ("def f(x):\n    return x", "wrong_answer", 0.07),
        (RIGHT, "ok", 0.87),
    ],
)
def test_each_rung_pays_its_own(sandbox: Sandbox, program: str, cause: str, reward: float) -> None:
    found = climb(program, CALLS, PAYING, sandbox)
    assert (found.cause, found.reward) == (cause, pytest.approx(reward))


def test_only_all_tests_pay_unless_shares_do(sandbox: Sandbox) -> None:
    half = "def f(x):\n    return [42] + x\n"
    assert climb(half, CALLS, WHOLE, sandbox).reward == 0.0
    shared = climb(half, CALLS, replace(WHOLE, partial=True), sandbox)
    assert (shared.reward, shared.cause, shared.rungs.passed) == (0.5, "wrong_answer", 1)
    assert shared.detail == "f([3, 1]) gave [42, 3, 1], not [42, 1, 3]"


def test_calls_and_inputs_in_one_set(sandbox: Sandbox) -> None:
    tests = [*CALLS, StdinTest("3 1\n", "42 1 3\n"), StdinTest("5\n", "42 5\n")]
    program = RIGHT + "if __name__ == '__main__':\n    print(*f(map(int, input().split())))\n"
    assert climb(program, tests, WHOLE, sandbox).rungs.passed == 4


def test_a_program_is_tried_on_its_other_inputs_unless_told_not_to(sandbox: Sandbox) -> None:
    tests = [StdinTest(f"{i}\n", f"{i}\n") for i in range(5)]
    program = "n = int(input())\nprint(n if n != 1 else 'one')"
    found = climb(program, tests, WHOLE, sandbox)
    assert (found.cause, found.rungs.passed) == ("wrong_answer", 4)
    assert climb(program, tests, replace(WHOLE, stop_early=True), sandbox).rungs.passed == 1


def test_all_tests_of_a_program_share_one_deadline(sandbox: Sandbox) -> None:
    tests = [StdinTest("", "")] * 20
    settings = replace(WHOLE, total_seconds=0.7, limits=Limits(seconds=0.5))
    started = time.monotonic()
    found = climb("import time\ntime.sleep(0.2)", tests, settings, sandbox)
    assert time.monotonic() - started < 3
    assert found.cause == "timeout"
    assert 1 <= found.rungs.passed <= 3


def test_many_at_once_keep_their_order(sandbox: Sandbox) -> None:
    texts = ["", RIGHT, "def f(x):\n    return x", RIGHT, "(", "```python\n" + RIGHT + "```"]
    blocks = [f"```python\n{text}```" if index in (1, 3) else text for index, text in enumerate(texts)]
    found = climb_many(blocks, CALLS, LadderSettings(), sandbox)
    assert [each.cause for each in found] == ["no_code", "ok", "no_code", "ok", "no_code", "ok"]
    found = climb_many(texts[:5], CALLS, WHOLE, sandbox)
    assert [each.cause for each in found] == ["no_code", "ok", "wrong_answer", "ok", "not_python"]


def test_a_table_of_known_inputs_passes_until_inputs_are_new(sandbox: Sandbox) -> None:
    """The limit that every hidden test has, and its remedy: inputs that were never shown."""
    table = "def f(x):\n    return {(3, 1): [42, 1, 3], (): [42]}[tuple(x)]\n"
    assert climb(table, CALLS, WHOLE, sandbox).cause == "ok"
    assert climb(table, [*CALLS, CallTest("f([8, -5])", [42, -5, 8])], WHOLE, sandbox).cause == "error"


def test_settings_and_tests_are_checked(sandbox: Sandbox) -> None:
    with pytest.raises(InputError, match="without tests"):
        climb(RIGHT, [], WHOLE, sandbox)
    with pytest.raises(InputError, match="Did you mean 'whole'"):
        LadderSettings(extract="hole")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pay_speed"):
        LadderSettings(pay_speed=0.9)
    with pytest.raises(InputError, match="memory_bytes is 0"):
        Limits(memory_bytes=0)


def test_lint_asks_for_errors_and_not_for_style() -> None:
    assert lint_errors("import os,sys\nx=1;y  = 2\ndef F( a ): return a\n") == []
    assert lint_errors("x = 1\nprint(y)\n") == ["line 2: F821 Undefined name `y`"]
    assert lint_errors("if (1, 2):\n    pass\nassert (1, 'a')\n")  # F634, F631: cannot be meant
    assert lint_errors("def f(:\n")
    assert lint_errors("return 1\n")


class Timer:
    """A sandbox that runs nothing: right answers, with the CPU seconds that a program's text names a call."""

    name = "timer"

    def __init__(self, jump_at: int | None = None) -> None:
        self.jump_at = jump_at

    def run(self, runs: Sequence[Run], limits: Limits) -> list[Outcome]:
        return [self._outcome(run) for run in runs]

    def _outcome(self, run: Run) -> Outcome:
        a_call = float(run.program or 0)
        calls = tuple(Returned(1) for _ in run.calls)
        if self.jump_at is not None and len(calls) > self.jump_at and run.program == "0.0001":
            calls = (*calls[:-1], Returned(2))
        return Outcome(end="ok", parsed=True, calls=calls, cpu_seconds=0.02 + a_call * len(calls))

    def close(self) -> None: ...


def test_speed_takes_starting_off_and_adds_rounds_until_a_timer_can_tell() -> None:
    tests = [CallTest("f()", 1)] * 2
    limits = Limits()
    assert speed_of("0.0004", "0.001", tests, limits, Timer(), 3) == pytest.approx(0.6)
    assert speed_of("0.002", "0.001", tests, limits, Timer(), 3) == 0.0
    assert speed_of("0", "0.001", tests, limits, Timer(), 3) == pytest.approx(1.0)
    assert speed_of("0", "0", tests, limits, Timer(), 3) is None  # nothing to compare with


def test_a_program_that_is_right_once_and_fast_afterwards_saves_nothing() -> None:
    assert speed_of("0.0001", "0.001", [CallTest("f()", 1)] * 2, Limits(), Timer(jump_at=2), 3) == 0.0


def test_share_saved() -> None:
    assert share_saved(0.06, 0.1) == pytest.approx(0.4)
    assert share_saved(0.2, 0.1) == 0.0
    assert share_saved(-0.01, 0.1) == 1.0
    assert share_saved(0.0, 0.001) is None


def test_speed_is_measured_only_for_right_programs_and_pays_little(sandbox: Sandbox) -> None:
    slow = "def f(x):\n    for _ in range(3000):\n        pass\n    return [42] + sorted(x)\n"
    settings = replace(PAYING, speed_repeats=3)
    fast = climb(RIGHT, CALLS, settings, sandbox, reference=slow)
    assert fast.rungs.speed is not None
    assert 0.3 < fast.rungs.speed <= 1.0
    assert 0.87 + 0.03 < fast.reward <= 0.97
    wrong = climb("def f(x):\n    return 1", CALLS, settings, sandbox, reference=slow)
    assert wrong.rungs.speed is None
    with pytest.raises(InputError, match="reference program does not pass"):
        climb(RIGHT, CALLS, settings, sandbox, reference="def f(x):\n    return 1")


def test_a_stopped_clock_does_not_help(sandbox: Sandbox) -> None:
    slow = "def f(x):\n    for _ in range(3000):\n        pass\n    return [42] + sorted(x)\n"
    clock = "import time\ntime.time = time.process_time = time.perf_counter = lambda: 0.0\n"
    settings = replace(WHOLE, speed_repeats=3)
    found = climb(clock + slow, CALLS, settings, sandbox, reference=slow)
    assert found.rungs.speed is not None
    assert found.rungs.speed < 0.9  # 1 if the clock were asked; a busy machine moves two equal times by a half
