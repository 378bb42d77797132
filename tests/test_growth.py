"""More steps go on from the last state, bit for bit; anything else begins anew; each says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from kill_resume import SETTINGS, contents, differences

from r1kit.errors import Interrupted
from r1kit.growth import GROWS, ends_anew, grown
from r1kit.launcher import run_here
from r1kit.recipe import load_recipe
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.status import run_status
from r1kit.stages import STAGES
from r1kit.workspace import Workspace

CONSTANT = [
    *SETTINGS, "pretrain.steps=5", "r1_zero.steps=4", "pretrain.evaluation.limit=2", "r1_zero.evaluation.limit=2",
    "r1_zero.schedule.shape=constant", "r1_zero.schedule.warmup=0", "pretrain.schedule.shape=constant",
    "pretrain.schedule.warmup=0", "pretrain.log_every=1", "r1_zero.optimiser.lr=5e-4",
]  # fmt: skip
"""A schedule that does not depend on how many steps there are, so that a longer run has the shorter one in it."""


def go(folder: Path, *overrides: str) -> list[str]:
    said: list[str] = []
    run_here(load_recipe("nano-zero", [*CONSTANT, *overrides]), folder, "", said.append)
    (folder / "report.html").touch()
    return said


def same(one: Path, other: Path, but: Sequence[str] = ()) -> list[str]:
    """What differs; ``key.json`` of what has grown says so."""
    found, expected = contents(other), contents(one)
    return differences(*({k: v for k, v in each.items() if k not in but} for each in (expected, found)))


def test_a_finished_stage_goes_on_and_ends_as_one_that_was_that_long_from_the_start(tmp_path: Path) -> None:
    go(tmp_path / "grown")
    said = go(tmp_path / "grown", "r1_zero.steps=6")
    assert "pretrain: done before" in said
    assert "r1_zero: steps 4 -> 6; it goes on from where it stands" in said
    assert (
        "r1_zero: goes on from step 4 with 6 steps instead of 4; "
        "the schedule is now that of 6 steps: lr 0.0005 -> 0.0005" in said
    )
    go(tmp_path / "straight", "r1_zero.steps=6")
    assert same(tmp_path / "straight", tmp_path / "grown", ["02_r1_zero/key.json", "recipe.toml"]) == []
    assert go(tmp_path / "grown", "r1_zero.steps=6")[-1] == "r1_zero: done before"

    said = go(tmp_path / "grown", "r1_zero.steps=6", "pretrain.steps=6")  # what comes after is done again
    assert "pretrain: goes on from step 5 with 6 steps instead of 5" in " ".join(said)
    assert "r1_zero: done again: pretrain was done again; the earlier result is kept in 02_r1_zero.before-1" in said
    said = go(tmp_path / "grown", "r1_zero.steps=5", "pretrain.steps=6")  # fewer
    assert "r1_zero: done again: steps 6 -> 5; the earlier result is kept in 02_r1_zero.before-2" in said


def test_in_the_middle_and_a_schedule_that_changes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear from 5e-4 to a floor of .3 over 4 updates of 2 a step: update 3 of 8 is the last, update 4 of 12 the
    next: 5e-4 * (1 - .7 * 3 / 7) = 3.5e-4 and 5e-4 * (1 - .7 * 4 / 11) = 3.73e-4; the line tells a step's first."""
    linear = ("r1_zero.schedule.shape=linear", "r1_zero.schedule.floor=0.3")
    agreed = Workspace._agreed

    def stop(self: Workspace) -> tuple[bool, str]:
        due, _ = agreed(self)
        return due, "SIGTERM" if self.stage == "r1_zero" else ""

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "_agreed", stop)
        for _ in range(2):
            with pytest.raises(Interrupted):
                go(tmp_path, *linear)
    said = go(tmp_path, *linear, "r1_zero.steps=6")
    line = next(line for line in said if "goes on from step" in line)
    assert line == (
        "r1_zero: goes on from step 2 with 6 steps instead of 4; "
        "the schedule is now that of 6 steps: lr 0.0004 -> 0.000373"
    )


def test_without_a_last_state_it_begins_anew_and_says_why(tmp_path: Path) -> None:
    go(tmp_path, "keep_state=false")
    assert not list(tmp_path.rglob("resume"))
    said = go(tmp_path, "keep_state=false", "r1_zero.steps=5")
    assert (
        "r1_zero: done again: steps 4 -> 5 (its last state was not kept, so it cannot go on); the earlier result is "
        "kept in 02_r1_zero.before-1" in said
    )


def test_status_tells_what_the_next_run_would_do(tmp_path: Path) -> None:
    go(tmp_path)
    text = (tmp_path / "recipe.toml").read_text()
    (tmp_path / "recipe.toml").write_text(text.replace("steps = 4", "steps = 8"))
    assert run_status(RunFolder(tmp_path), 0.0).notes == ("r1_zero will be trained on by the next run: steps 4 -> 8",)
    (tmp_path / "recipe.toml").write_text(text.replace("steps = 4", "steps = 3"))
    assert run_status(RunFolder(tmp_path), 0.0).notes == ("r1_zero will be done again by the next run: steps 4 -> 3",)


KEY = {"key": "a", "kind": "r1_zero", "settings": {"steps": 4, "n": 2}, "inputs": {"pretrain": "p"}, "seed": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"settings": {"steps": 6, "n": 2}}, {"steps": (4, 6)}),
        ({"settings": {"steps": 6, "n": 2}, "why": "x", "key": "b"}, {"steps": (4, 6)}),
        ({"settings": {"steps": 3, "n": 2}}, {}),
        ({"settings": {"steps": 6, "n": 3}}, {}),
        ({"settings": {"steps": 6, "n": 2, "more": 1}}, {}),
        ({"settings": {"steps": 6, "n": 2}, "inputs": {"pretrain": "q"}}, {}),
        ({"settings": {"steps": 6, "n": 2}, "seed": 2}, {}),
        ({"settings": {"steps": 6, "n": 2}, "code": {"my.py": "1"}}, {}),
        ({"settings": {"steps": 6, "n": 2}, "kind": "all_scenarios_rl"}, {}),
        ({"key": "b"}, {}),
    ],
)
def test_only_what_grows_and_nothing_else(change: dict[str, object], expected: dict[str, object]) -> None:
    before = {**KEY, "kind": change.get("kind", "r1_zero")}
    assert grown(before, {**KEY, **change}) == expected


def test_the_list_names_settings_that_there_are() -> None:
    for kind, names in GROWS.items():
        config, _ = STAGES[kind].load()
        assert set(names) <= set(config.__dataclass_fields__), kind


def test_what_only_the_end_of_a_stage_reads_ends_it_anew() -> None:
    """A cold start keeps what it sampled, and what people decided; every other setting begins it anew."""
    base = {"kind": "cold_start", "seed": 1, "settings": {"keep": 2, "review": "human"}, "key": "a"}
    least = {**base, "settings": {**base["settings"], "review_least": 50}, "key": "b"}
    assert ends_anew(base, least)
    assert ends_anew(least, base)
    assert ends_anew(base, {**least, "settings": {"keep": 2}}), "automatic, as it is where nothing is said"
    assert not ends_anew(base, base)
    assert not ends_anew(base, {**least, "settings": {**least["settings"], "keep": 3}})
    assert not ends_anew(base, {**least, "seed": 2})
    assert not ends_anew({**base, "kind": "sft"}, {**least, "kind": "sft"})
