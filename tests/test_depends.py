"""What a stage depends on, and what is said when it changed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from r1kit.depends import changes, read_key, stage_keys, written_key
from r1kit.recipe import Recipe, load_recipe, parse_recipe


def changed(*overrides: str) -> set[str]:
    before, after = stage_keys(load_recipe("nano")), stage_keys(load_recipe("nano", overrides))
    return {stage for stage in before if before[stage] != after[stage]}


def test_a_change_redoes_what_it_reaches_and_nothing_else() -> None:
    """The graph is the paper's: the reward models do not see reasoning RL's settings but for the data they led to."""
    assert changed("evaluate.rows_in_flight=64") == {"evaluate"}
    assert changed("distill.base_steps=9") == {"distill"}
    assert changed("reward_models.batch=8") == {"reward_models", "all_scenarios_rl", "evaluate"}
    late = {"rejection_sampling", "sft", "reward_models", "all_scenarios_rl", "distill", "evaluate"}
    assert changed("reasoning_rl.steps=9") == {"reasoning_rl"} | late
    assert changed("tasks.safety.rounds=3") >= {"all_scenarios_rl", "evaluate"}
    assert not changed("tasks.safety.rounds=3") & {"pretrain", "r1_zero"}
    assert changed("ranks=2", "summary=x") == set()
    assert changed("r1_zero.record_tokens=4") == set()  # what is kept to look at decides nothing
    assert changed("seed=2") == set(load_recipe("nano").stages)


def test_a_users_setting_may_be_called_contents(tmp_path: Path) -> None:
    text = "class Mine:\n    contents: dict[str, int] = {}\n    def train(self, index): return 'q', 'a'\n"
    (tmp_path / "mine.py").write_text(text + "    def held_out(self, split, limit=None): return [('h', 'a')]\n")

    def key_of(**settings: object) -> str:
        task = {"kind": f"{tmp_path}/mine.py:Mine", **settings}
        tables = {"model": {"name": "base"}, "tasks": {"mine": task}, "stages": {"r1_zero": {"tasks": ["mine"]}}}
        return stage_keys(parse_recipe({"name": "mine", **tables}))["r1_zero"]

    assert key_of(contents={"a": 1}) != key_of(contents={"a": 2})
    assert key_of(contents={"a": 1}) == key_of(contents={"a": 1})


def own_key(folder: Path, task: str, reward: str) -> dict[str, Any]:
    """Of a stage with two files of a user's own."""
    parts = {"accuracy": 1.0, f"{folder}/{reward}:f": 1.0}
    stages = {"r1_zero": {"tasks": ["own"], "reward": {"parts": parts}}}
    tables = {"model": {"name": "base"}, "tasks": {"own": {"kind": f"{folder}/{task}:T"}}, "stages": stages}
    return key(parse_recipe({"name": "own", **tables}), "r1_zero")


def test_files_of_one_name_count_each(tmp_path: Path) -> None:
    """Wherever the folder lies; a name that only one file has, or that files of the same content have, stands alone."""
    task = "class T:\n    def train(self, index): return 'q', 'a'\n"
    task += "    def held_out(self, split, limit=None): return [('h', 'a')]\n"
    folder = tmp_path / "here"
    for name in ("tk", "rwd"):
        (folder / name).mkdir(parents=True)
        (folder / name / "mine.py").write_text(f"import aid_of_mine\ndef f(prompt, completion): return 1\n{task}")
        (folder / name / "aid_of_mine.py").write_text("X = 1\n")
    paths = "tk/mine.py", "rwd/mine.py"
    same = own_key(folder, *paths)
    assert list(same["code"]) == ["aid_of_mine.py", "mine.py"]
    (folder / "rwd/mine.py").write_text("import aid_of_mine\ndef f(prompt, completion): return 2\n")
    other = own_key(folder, *paths)
    assert changes(same, other) == "mine.py of reward.parts.mine.py:f was edited"
    assert changes(other, same) == "mine.py of reward.parts.mine.py:f was edited"
    (folder / "rwd/aid_of_mine.py").write_text("X = 2\n")
    helped = own_key(folder, *paths)
    assert changes(other, helped) == "aid_of_mine.py of reward.parts.mine.py:f was edited"
    (folder / "tk/mine.py").write_text(f"import aid_of_mine\n{task}    more = 1\n")
    edited = own_key(folder, *paths)
    assert changes(helped, edited) == "mine.py of tasks.own.kind was edited"
    assert len({found["key"] for found in (same, other, helped, edited)}) == 4
    assert own_key(shutil.copytree(folder, tmp_path / "there"), *paths) == edited


def key(recipe: Recipe, stage: str) -> dict[str, Any]:
    return written_key(recipe, stage, stage_keys(recipe))


def test_what_changed_is_told() -> None:
    before = load_recipe("nano", ["r1_zero.steps=80", "r1_zero.optimiser.lr=5e-4"])
    after = load_recipe("nano", ["r1_zero.steps=7", "r1_zero.optimiser.lr=1e-3"])
    assert changes(key(before, "r1_zero"), key(after, "r1_zero")) == "steps 80 -> 7; optimiser.lr 0.0005 -> 0.001"
    assert changes(key(before, "cold_start"), key(after, "cold_start")) == "r1_zero was done again"
    many = load_recipe("nano", [f"r1_zero.{key}=3" for key in ("steps", "evaluate_every", "deadline", "record_groups")])
    assert changes(key(load_recipe("nano"), "r1_zero"), key(many, "r1_zero")).endswith("; 1 more")


def test_a_result_without_its_key_file_is_known_by_its_key(tmp_path: Path) -> None:
    assert read_key(tmp_path) == {}
    (tmp_path / "result.json").write_text('{"key": "abc", "inputs": ["pretrain"]}')
    assert read_key(tmp_path) == {"key": "abc"}
    assert changes(read_key(tmp_path), key(load_recipe("nano"), "r1_zero"))  # something is said, nothing breaks


def test_an_environment_beside_the_run_is_told_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kind is no reference, so an edit of its rubric left every stage as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_own_env.py").write_text("import aid_of_env\ndef load_environment(): ...\n")
    (tmp_path / "aid_of_env.py").write_text("X = 1\n")
    tables = {"model": {"name": "base"}, "tasks": {"own": {"kind": "verifiers/my-own-env"}}}
    recipe = parse_recipe({"name": "own", **tables, "stages": {"r1_zero": {"tasks": ["own"]}}})
    before = key(recipe, "r1_zero")
    (tmp_path / "aid_of_env.py").write_text("X = 2\n")
    after = key(recipe, "r1_zero")
    assert before["key"] != after["key"]
    assert changes(before, after) == "aid_of_env.py was edited"
