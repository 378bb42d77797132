"""The cap on length rises during a stage: by step in turn, and by the step dealt for where engines sample ahead."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.loops import rl
from r1kit.loops.ahead import Ahead
from r1kit.loops.caps import Shorter
from r1kit.loops.lag import Verdicts
from r1kit.recipe import load_recipe
from r1kit.seeds import training_index

from .test_ahead import apart
from .toy import CONFIG, toy

RISING = replace(
    CONFIG, record_groups=4, shorter=(Shorter(until=2, max_tokens=2), Shorter(until=3, max_tokens=4))
)  # then 6, of 6 steps


def longest(folder: Path) -> dict[int, int]:
    """Tokens of each step's longest completion."""
    found: dict[int, int] = {}
    for line in (folder / "02_r1_zero/rollouts.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["step"]] = max(found.get(row["step"], 0), row["tokens"])
    return found


def caps(folder: Path) -> list[int]:
    lines = (folder / "02_r1_zero/metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["max_tokens"] for line in lines]


def test_each_step_samples_within_its_cap(tmp_path: Path) -> None:
    assert [RISING.sampling_at(step).max_tokens for step in range(6)] == [2, 2, 4, 6, 6, 6]
    toy(tmp_path).train(RISING)
    assert longest(tmp_path) == {1: 2, 2: 2, 3: 4, 4: 6, 5: 6, 6: 6}
    assert caps(tmp_path) == [2, 2, 4, 6, 6, 6]


def test_ahead_a_prompt_keeps_the_cap_of_the_step_it_was_dealt_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rl, "Rollouts", Ahead)
    apart(tmp_path).train(replace(RISING, max_lag=2))
    assert longest(tmp_path) == {1: 2, 2: 2, 3: 4, 4: 6, 5: 6, 6: 6}


def test_ahead_whichever_is_ready_keeps_the_cap_of_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first prompts too, which are all dealt at once."""
    monkeypatch.setattr(rl, "Rollouts", Ahead)
    apart(tmp_path).train(replace(RISING, max_lag=3, order="ready"))
    found = [0] * RISING.steps
    for line in (tmp_path / "02_r1_zero/rollouts.jsonl").read_text().splitlines():
        row = json.loads(line)
        turn = (int(row["prompt_id"].rpartition("/")[2]) - training_index(1, 0)) // RISING.prompts_per_step
        found[turn] = max(found[turn], row["tokens"])
    assert found == [2, 2, 4, 6, 6, 6]


def test_beside_slow_verdicts_too(tmp_path: Path) -> None:
    toy(tmp_path).train(replace(RISING, verdicts=Verdicts(slow="drop")))
    assert longest(tmp_path) == {1: 2, 2: 2, 3: 4, 4: 6, 5: 6, 6: 6}


REFUSED = [
    *(((6, 2),), ((7, 2),), ((2, 6),), ((0, 2),), ((2, 0),)),
    *(((2, 3), (2, 4)), ((2, 3), (3, 3)), ((3, 2), (2, 4))),
]


@pytest.mark.parametrize("shorter", REFUSED)
def test_caps_that_do_not_rise_within_the_stage_are_refused(shorter: tuple[tuple[int, int], ...]) -> None:
    caps = tuple(Shorter(until=until, max_tokens=most) for until, most in shorter)
    config = replace(CONFIG, shorter=caps, tasks=("countdown",))
    with pytest.raises(InputError, match=r"stages.r1_zero.shorter = .*both must rise"):
        config.check("r1_zero", load_recipe("nano-zero"))


def test_the_part_overlong_counts_towards_one_cap() -> None:
    reward = replace(CONFIG.reward, parts={"accuracy": 1.0, "overlong": 1.0}, overlong_window=2, max_tokens=6)
    with pytest.raises(InputError, match="the part overlong"):
        replace(RISING, reward=reward).check("r1_zero", load_recipe("nano-zero"))
