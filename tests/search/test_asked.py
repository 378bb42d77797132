"""What ``r1 eval --search`` is told: a value model, rollouts or none, and settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError
from r1kit.recipe import parse_recipe
from r1kit.records import Sampling
from r1kit.search.asked import asked_search, by_what, told
from r1kit.search.settings import Search


def test_rollouts_none_a_folder_or_a_stage(tmp_path: Path) -> None:
    assert by_what("rollouts", Search())[0].value == "rollouts"
    assert by_what("none", Search()) == (Search(value="none"), None)
    folder = tmp_path / "03_tree" / "round-1" / "value" / "checkpoint"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="no value model there; give the folder of one"):
        by_what(str(folder), Search())
    (folder / "r1kit_reward.json").write_text("{}")
    assert by_what(str(folder), Search(value="none")) == (Search(value="model"), folder)
    with pytest.raises(MissingError, match="no finished stage 'tree'"):
        by_what(f"{tmp_path}:tree", Search())
    result = tmp_path / "03_tree" / "result.json"
    result.write_text(json.dumps({"metrics": {"value": "03_tree/round-1/value/checkpoint"}}))
    assert by_what(f"{tmp_path}:tree", Search())[1] == folder
    result.write_text(json.dumps({"metrics": {"loss": 1.0}}))
    with pytest.raises(InputError, match="stage 'tree' left no value model"):
        by_what(f"{tmp_path}:tree", Search())


def test_the_stages_settings_and_the_users_over_them() -> None:
    stages = {"mcts": {"start": "base", "search": {"simulations": 7, "children": 2}}}
    recipe = parse_recipe({"name": "x", "model": {"name": "m"}, "tasks": {"countdown": {}}, "stages": stages})
    search, _ = asked_search("none", ["children=8", 'steps.marks=["x"]'], recipe, Sampling(max_tokens=99))
    assert (search.simulations, search.children, search.steps.marks, search.max_tokens) == (7, 8, ("x",), 512)
    bare = parse_recipe({"name": "x", "model": {"name": "m"}, "tasks": {"countdown": {}}, "stages": {"r1_zero": {}}})
    assert asked_search("none", [], bare, Sampling(max_tokens=99))[0].max_tokens == 99
    with pytest.raises(InputError, match="unknown key 'childen'"):
        asked_search("none", ["childen=8"], bare, Sampling())


def test_the_lines_of_the_terminal() -> None:
    row = {"accuracy": 0.5, "interval": [0.25, 0.75], "found": 0.625, "tokens": 100.4, "ended": 2.0}
    settings = {"simulations": 7, "children": 2, "value": "none", "prior": "policy"}
    lines = told({"methods": {"search": row, "majority": row}, "settings": settings})
    assert lines[0].startswith("search: 7 simulations, 2 children, value by none")
    assert lines[1] == "tree search        0.500  [0.250, 0.750]  100 tokens, 2.0 chains, a right one among them 0.625"
