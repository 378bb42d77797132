"""Scoring while the caller goes on: the same scores, faults that cost their own sample, errors and an end in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from r1kit.errors import InputError, R1Error
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier

from .test_verifier import BUILDER, group, verifier


def test_what_is_handed_over_one_by_one_scores_as_in_one_call() -> None:
    groups = [group("42", "x"), group("7", reference="7"), group("A b", "42", "42")] * 5
    with verifier(workers=2) as judge:
        handed = [judge.submit(one) for one in groups]
        assert [scores.result(60) for scores in handed] == judge.score_groups(groups)


def test_a_fault_costs_its_own_sample_and_the_new_process_lives_on() -> None:
    """The process in place of one that died is started by the thread that scores; it must outlive that call."""
    with verifier() as judge:
        first = judge.submit(group("42", "loop", "exit", "42")).result(60)
        assert [score.status for score in first] == ["ok", "timeout", "ungradable", "ok"]
        process = judge._workers[0].process
        time.sleep(0.2)
        assert [score.total for score in judge.submit(group("42")).result(60)] == [1.2]
        assert [score.total for score in judge.score_groups([group("42")])[0]] == [1.2]
        assert judge._workers[0].process is process


def test_an_error_comes_with_the_scores_that_were_asked_for() -> None:
    with verifier() as judge:
        with pytest.raises(InputError, match="names task 'other'; known are"):
            judge.submit(group("42", task="other")).result(60)
        assert judge.submit(group("42")).result(60)[0].status == "ok"
    with Verifier({"fake": "broken"}, {"fake": RewardConfig()}, builder=BUILDER) as judge:
        broken = judge.submit(group("42"))
        with pytest.raises(R1Error, match="could not be built in the verifier: ValueError: no such generator"):
            broken.result(60)


def test_what_is_taken_back_before_its_turn_is_not_judged() -> None:
    with verifier(deadline_seconds=1.0) as judge:
        assert judge.submit(group("42")).result(60)
        busy = judge.submit(group("loop"))
        time.sleep(0.3)
        unwanted, wanted = judge.submit(group("loop", "loop", "loop")), judge.submit(group("42"))
        assert unwanted.cancel()
        assert not busy.cancel()
        assert wanted.result(60)[0].total == 1.2
        assert busy.result(0)[0].status == "timeout"


def test_closing_ends_a_call_that_is_under_way_and_leaves_no_process() -> None:
    judge = verifier(deadline_seconds=60.0)
    assert judge.submit(group("42")).result(60)
    waiting = [judge.submit(group("loop")) for _ in range(3)]
    time.sleep(0.3)
    pid = judge._workers[0].process.pid
    began = time.monotonic()
    judge.close()
    judge.close()
    assert time.monotonic() - began < 10
    assert all(isinstance(scores.exception(0), R1Error) for scores in waiting)
    assert not Path(f"/proc/{pid}").exists()


def test_a_slow_group_holds_up_no_other_worker_s() -> None:
    """One worker loops on the first group; the other scores all that come after it."""
    with verifier(workers=2, deadline_seconds=120.0) as judge:
        slow = judge.submit(group("loop"))
        quick = [judge.submit(group("42")) for _ in range(9)]
        assert [score.total for one in quick for score in one.result(60)] == [1.2] * 9
        assert not slow.done()
    with pytest.raises(R1Error, match="closed"):
        slow.result(60)
