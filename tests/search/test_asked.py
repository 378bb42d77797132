"""What ``r1 eval --search`` is told: a value model, rollouts or none, and settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError
from r1kit.recipe import parse_recipe
from r1kit.records import Prompt, Sampling
from r1kit.search.asked import asked_search, by_what, fitting, marked, spelled_alike, told
from r1kit.search.settings import Search
from r1kit.search.tree import Child, Tree
from r1kit.text.tokenizer import build_tokenizer


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
    table = {"methods": {"search": row, "majority": row}, "marked": 0.5, "settings": settings}
    lines = told(table)
    assert lines[0].startswith("search: 7 simulations, 2 children, value by none")
    assert lines[1] == "tree search        0.500  [0.250, 0.750]  100 tokens, 2.0 chains, a right one among them 0.625"
    assert len(lines) == 3
    unmarked = {**table, "marked": 0.0, "settings": {**settings, "steps": {"marks": ["</step>"], "most": 9}}}
    assert told(unmarked)[-1].startswith(
        "no step ended at one of the marks '</step>': each was cut after steps.most = 9"
    )


def test_steps_are_as_long_as_fit_where_nobody_said_how_long() -> None:
    table = {"name": "x", "model": {"name": "m"}, "tasks": {"countdown": {}}}
    bare = parse_recipe({**table, "stages": {"r1_zero": {}}})
    found = fitting(Search(max_tokens=200), 247, [], bare)
    assert (found.max_tokens, found.steps.most) == (186, 61), "a quarter for a step, the rest for the chain"
    found = fitting(Search(max_tokens=200), 311, ["children=2"], bare)
    assert (found.max_tokens, found.steps.most) == (200, 111)
    assert fitting(Search(max_tokens=200), 328, [], bare) == Search(max_tokens=200)
    searched = parse_recipe({**table, "stages": {"mcts": {"start": "base"}}})
    for settings, recipe in ((["max_tokens=200"], bare), (["steps.most=128"], bare), ([], searched)):
        with pytest.raises(InputError, match=r"pass the 247 .* --search-set max_tokens=N"):
            fitting(Search(max_tokens=200), 247, settings, recipe)


def test_a_value_model_of_other_tokens_is_told() -> None:
    one, more, other = (build_tokenizer(words) for words in (["a", "b"], ["a", "b", "c"], ["a", "c"]))
    assert spelled_alike(one, build_tokenizer(["a", "b"]))
    assert not spelled_alike(one, more)
    assert not spelled_alike(one, other)


def test_how_many_steps_a_mark_ended() -> None:
    tree = Tree(Prompt(id="p", question="?"), (1, 2), 7)
    drawn = [Child(tokens=(1,) * length, logprob=-1.0, ended=length == 4) for length in (2, 3, 4)]
    assert marked([tree], 3) == 1.0, "nothing was drawn"
    tree.expand(tree.root, drawn, uniform=True, depth=9, max_tokens=99)
    assert marked([tree], 3) == 0.5, "of the two that go on, the shorter one"


def test_a_wrong_setting_of_the_search_names_its_own_option() -> None:
    bare = parse_recipe({"name": "x", "model": {"name": "m"}, "tasks": {"countdown": {}}, "stages": {"r1_zero": {}}})
    with pytest.raises(InputError, match=r"^--search-set 'simulations': write KEY=VALUE, for example --search-set sim"):
        asked_search("none", ["simulations"], bare, Sampling())
    with pytest.raises(InputError, match=r"^search\.simulations = 0: must be at least 1"):
        asked_search("none", ["simulations=0"], bare, Sampling())
