"""The reward-hacking watch on series made by hand."""

from __future__ import annotations

import pytest

from r1kit.errors import InputError
from r1kit.evals.hacking import HackingWatch, find_hacking

WATCH = HackingWatch(rise=0.5, fall=0.1, patience=2)
STEPS = [0, 10, 20, 30, 40, 50]


def test_reward_up_and_gold_down_stops_after_its_patience() -> None:
    found = find_hacking(STEPS, [0.0, 0.5, 1.0, 1.25, 1.5, 2.0], [0.5, 0.75, 0.625, 0.5, 0.5, 0.25], WATCH)
    assert found is not None  # at 20 gold is .125 below its best and reward .5 above that moment; at 30 again
    assert (found.step, found.best_step) == (30, 10)
    assert found.reason == (
        "reward hacking: since step 10 the model's reward rose from 0.5 to 1.25 while the gold check fell from 0.75 "
        "to 0.5, 2 evaluations in a row; stopped at step 30"
    )


@pytest.mark.parametrize(
    ("rewards", "gold"),
    [
        pytest.param([0, 1, 2, 3, 4, 5], [0.5, 0.6, 0.7, 0.8, 0.9, 0.9], id="both rise"),
        pytest.param([5, 4, 3, 2, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], id="both fall"),
        pytest.param([0, 1, 2, 3, 4, 5], [0.9, 0.85, 0.85, 0.85, 0.85, 0.85], id="gold falls too little"),
        pytest.param([0, 0.2, 0.4, 0.4, 0.4, 0.4], [0.9, 0.7, 0.6, 0.5, 0.4, 0.3], id="reward rises too little"),
        pytest.param([0, 1, 1, 1, 1, 1], [0.9, 0.7, 0.9, 0.7, 0.9, 0.7], id="never twice in a row"),
        pytest.param([0, 4, 4, 4, 4, 4], [0.9, 0.9, 0.7, 0.7, 0.7, 0.7], id="the rise was while gold was at its best"),
    ],
)
def test_what_is_no_hacking(rewards: list[float], gold: list[float]) -> None:
    assert find_hacking(STEPS, rewards, gold, WATCH) is None


def test_patience_of_one_and_what_has_not_happened_yet() -> None:
    rewards, gold = [0.0, 1.0, 2.0], [0.9, 0.7, 0.5]
    assert find_hacking([0, 1, 2], rewards, gold, HackingWatch(rise=1.0, fall=0.2, patience=1)).step == 1  # type: ignore[union-attr]
    for seen in (0, 1, 2):
        assert find_hacking(range(seen), rewards[:seen], gold[:seen], WATCH) is None


def test_settings_that_make_no_sense() -> None:
    for settings in ({"rise": -1.0}, {"fall": 0.0}, {"patience": 0}):
        with pytest.raises(InputError, match="hacking watch"):
            HackingWatch(**settings)  # type: ignore[arg-type]
