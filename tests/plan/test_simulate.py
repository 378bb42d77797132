"""The discrete-event model of RL steps, by hand-worked times and by what must always hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.plan.events import Clock
from r1kit.plan.pace import Lengths, Pace
from r1kit.plan.simulate import Layout, Load, Outcome, simulate

PACE = Pace(step=1.0, row=0.0, key=0.0, prompt=0.0, learn=0.5, read=0.0, update=3.0, score=2.0, hand_over=1.0)
TEN = Lengths(longest=10, seen=(10,))
TWO = Load(prompts=2, n=1, prompt_tokens=0.0, rows_in_flight=8)
ONE = Layout(ranks=1)
AHEAD = replace(TWO, max_lag=1)


def run(
    pace: Pace = PACE, load: Load = TWO, layout: Layout = ONE, lengths: Lengths = TEN, **more: Any
) -> Outcome:  # fmt: skip
    return simulate(pace, load, layout, lengths, **more)


# ---- the clock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "ends"), [(1.0, [2.0, 4.0]), (2.0, [1.0, 3.0]), (0.5, [4.0, 8.0]), (0.0, [1.0, 3.0])]
)
def test_activities_share_the_cores(cores: float, ends: list[float]) -> None:
    """1 and 3 seconds of work: on one core both go at half speed till the first has ended, then one alone."""
    clock, seen = Clock(cores), list[float]()
    for name, seconds in (("short", 1.0), ("long", 3.0)):
        clock.start(name, seconds, lambda: seen.append(clock.now))
    clock.run()
    assert seen == ends


def test_what_is_stopped_tells_what_was_left_and_may_begin_anew() -> None:
    clock, seen = Clock(), list[float]()

    def ended() -> None:
        seen.append(clock.stop("b"))
        clock.start("b", 1.0, lambda: seen.append(clock.now))

    clock.start("a", 2.0, ended)
    clock.start("b", 5.0, lambda: seen.append(-1.0))
    clock.run()
    assert (clock.now, seen, clock.busy) == (3.0, [3.0, 3.0], {"a": 2.0, "b": 3.0})


# ---- steps, worked out by hand --------------------------------------------------------------------------------------


def test_in_turn_a_step_is_the_sum_of_its_parts() -> None:
    """10 tokens of 1 s; 2 groups judged one after the other, 4 s; 20 tokens of 0.5 s and 3 s; 1 s of hand-over."""
    found = run()
    assert found.step_seconds == pytest.approx(10 + 4 + 13 + 1)
    assert (found.sampled_tokens, found.lag) == (20.0, 0.0)
    assert found.learners_idle == pytest.approx(1 - 13 / 28)
    assert found.engines_idle == pytest.approx(1 - 11 / 28)


def test_two_ranks_halve_what_they_share() -> None:
    """Each samples one prompt (10 s) and learns half of the tokens (5 s and 3 s); two verifiers judge at once."""
    assert run(layout=Layout(ranks=2, verifiers=2)).step_seconds == pytest.approx(10 + 2 + 8 + 1)


def test_ranks_that_share_one_core_go_at_half_speed_except_where_one_waits() -> None:
    """Sampling 20, judging 2 x 2 one after the other (one at a time runs), learning 2 x 8, hand-over 2."""
    found = run(layout=Layout(ranks=2, verifiers=1, cores=1.0))
    assert found.step_seconds == pytest.approx(20 + 4 + 16 + 2)


def test_one_step_ahead_the_longer_side_decides() -> None:
    """While 13 s are learnt the engine writes (10 s); it is judged after 14 s, when the weights are there as well."""
    found = run(load=AHEAD, layout=Layout(ranks=1, engines=1))
    assert found.step_seconds == pytest.approx(14)
    assert found.lag == 1.0
    assert found.learners_idle == pytest.approx(1 / 14)


def test_ahead_without_a_bound_is_in_turn() -> None:
    assert run(layout=Layout(ranks=1, engines=1)).step_seconds == run().step_seconds


def test_rows_that_find_no_place_wait_for_one() -> None:
    """One place for two rows: 20 s of sampling; the first is judged meanwhile."""
    found = run(load=replace(TWO, rows_in_flight=1))
    assert found.step_seconds == pytest.approx(20 + 2 + 13 + 1)


def test_rows_and_their_context_slow_a_token_step_and_prompts_are_read_once_a_group() -> None:
    """4 rows of 10 tokens after 6 of a prompt: 10 x (1 + 4 x .5 + .1 x 4 x (6 + 5)); 2 prompts of 6 x .25."""
    pace = replace(PACE, row=0.5, key=0.1, prompt=0.25, score=0.0, learn=0.0, update=0.0, hand_over=0.0)
    found = run(pace, replace(TWO, n=2, prompt_tokens=6.0))
    assert found.step_seconds == pytest.approx(10 * (1 + 2 + 4.4) + 3)


def test_forward_passes_and_minibatches_are_paid() -> None:
    """And the look at one group of 10 tokens that tells whether the engine has the learner's weights."""
    found = run(replace(PACE, read=0.25), replace(TWO, minibatches=4, passes=2))
    assert found.step_seconds == pytest.approx(10 + 4 + 10 * 0.25 + 20 * (0.5 + 2 * 0.25) + 4 * 3 + 1)


def test_weights_wait_for_what_was_begun_or_come_in_between() -> None:
    """Ahead by two, an engine that is slower than the learner always has something begun."""
    slow = replace(PACE, learn=0.0, score=0.0)
    layout = Layout(ranks=1, engines=1)
    wait, keep = (run(slow, replace(TWO, max_lag=2, over_update=how), layout) for how in ("wait", "keep"))
    assert keep.step_seconds < wait.step_seconds
    assert max(keep.lag, wait.lag) <= 2


# ---- what always holds ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 4), st.sampled_from(["wait", "keep", "recompute"]), st.sampled_from(["in_turn", "ready"]),
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 10**6),
)  # fmt: skip
def test_no_run_stops_and_no_bound_is_passed(
    lag: int, over_update: Any, order: Any, engines: int, ranks: int, cores: int, seed: int
) -> None:
    load = Load(
        prompts=4, n=3, prompt_tokens=7.0, rows_in_flight=5, max_lag=lag, over_update=over_update, order=order
    )  # fmt: skip
    lengths = Lengths(longest=80, mean=20.0)
    layout = Layout(ranks=ranks, engines=engines, verifiers=2, cores=float(cores))
    found = simulate(PACE, load, layout, lengths, steps=8, seed=seed)
    assert 0 <= found.lag <= lag
    assert found.step_seconds >= found.sampled_tokens * PACE.learn / ranks
    assert -1e-9 <= found.engines_idle <= 1
    assert -1e-9 <= found.learners_idle <= 1
