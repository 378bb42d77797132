"""Recipes: what is refused and how, presets, overrides, the round trip."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.maths.settings import PRESETS
from r1kit.recipe import (
    Recipe,
    as_toml,
    fingerprint,
    load_recipe,
    parse_recipe,
    put_setting,
    recipe_name,
    shipped_recipes,
)


def test_a_stage_keeps_its_own_optimiser_when_only_the_rate_is_set() -> None:
    recipe = load_recipe("nano-zero", ["pretrain.optimiser.lr=1e-3"])
    optimiser = recipe.stages["pretrain"].optimiser
    assert (optimiser.kind, optimiser.lr, optimiser.weight_decay) == ("muon", 1e-3, 0.05)


def test_a_preset_is_a_base_that_other_keys_override() -> None:
    paper = PRESETS["paper"]
    recipe = load_recipe("nano-zero", ["r1_zero.loss.preset=paper", "r1_zero.loss.kl_weight=0.25"])
    loss = recipe.stages["r1_zero"].loss
    assert loss.kl_weight == 0.25 != paper.kl_weight
    # nano-zero's own std is a key beside the preset, so it wins
    assert loss == dataclasses.replace(paper, kl_weight=0.25, std="sample")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"stages.r1_zero.loss.preset = 'papr': presets are .*Did you mean 'paper'\?"):
        load_recipe("nano-zero", ["r1_zero.loss.preset=papr"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps", "write KEY=VALUE"),
        ("=3", "write KEY=VALUE"),
        ("a..b=3", "write KEY=VALUE"),
        ("#seed=3", "no key '#seed'"),
        ("seed=1" + "0" * 5000, "seed = '10+': expected a whole number"),
        ("name=' '", "name is empty; a recipe's name is a word"),
        ("r1_zero.steps=" + "[" * 5000, r"r1_zero.steps = '\[+': expected a whole number"),
        ("r1_zero.optimiser.lr=1" + "0" * 400, "r1_zero.optimiser.lr is a whole number beyond any"),
        ("modle.num_layers=2", "no key 'modle'; .*Did you mean 'model'?"),
        ("stages.r1_zer.steps=3", "the recipe has no stage 'r1_zer'; its stages are pretrain, r1_zero. Did you mean"),
        ("r1_zero.stps=3", "stages.r1_zero: unknown key 'stps'; .*Did you mean 'steps'?"),
        ("r1_zero.steps.x=3", "'steps' is not a table"),
        ("r1_zero.steps=many", "stages.r1_zero.steps = 'many': expected a whole number"),
        ("r1_zero=3", r"stages.r1_zero: expected a table \[stages.r1_zero\], got 3"),
        ("stages=3", "stages = 3: expected tables"),
        ("tasks=3", "tasks = 3: expected tables"),
        ("model=3", "model = 3: expected a table"),
        ("model.hidden_size=33", "must divide hidden_size = 33"),
        ("model.num_heads=0", "model.num_heads = 0: must be at least 1"),
        ("ranks=-1", "ranks = -1: must be at least 1, or 0"),
        ("seed=-4", "seed = -4: must be from 0"),
        ("tasks.countdown.kind=countdwn", "kind 'countdwn' is unknown; .*Did you mean 'countdown'?"),
        ("tasks.countdown.kin=3", "tasks.countdown: unknown key 'kin'; known keys are "),
        ("r1_zero.tasks=['sums']", "stage 'r1_zero' uses task 'sums'; the recipe's tasks are countdown"),
        ("r1_zero.evaluation.tasks=['countdow']", "uses task 'countdow'; .*Did you mean 'countdown'?"),
        (
            "r1_zero.optimiser.betas=[0.9]",
            r"betas = \[0.9\], muon_momentum = 0.95: two numbers and one",
        ),
        ("r1_zero.optimiser.betas=[1.5, 0.9]", "each from 0 to below 1"),
        ("r1_zero.optimiser.eps=-1", "optimiser.eps = -1.0 must be above 0"),
        ("r1_zero.optimiser.weight_decay=-1", "optimiser.weight_decay = -1.0 must not be negative"),
        ("r1_zero.evaluation.resamples=0", "an evaluation's resamples = 0: must be at least 1"),
        ("r1_zero.evaluation.temperature=-1", "an evaluation's temperature = -1.0 and top_p = 1.0: from 0 on"),
        ("r1_zero.evaluation.top_p=5", r"top_p = 5.0: from 0 on, and in \(0, 1\]"),
        ("r1_zero.start=pretrian", "takes in 'pretrian'; earlier stages are pretrain. Did you mean 'pretrain'?"),
        ("r1_zero.lr=1e-4", "unknown key 'lr'; .* There is optimiser.lr."),
        ("r1_zero.top_p=1.0", "unknown key 'top_p'; .* There is (evaluation.top_p or sampling|sampling.top_p or eval)"),
        ("r1_zero.stepz=1", "unknown key 'stepz'; .* Did you mean 'steps'?"),
        ("r1_zero.reward.parts={format=.2}", "expected a table; TOML cannot read this text, so it is no more than one"),
        ("r1_zero.tasks=[countdown]", "expected a list, each a string; TOML cannot read this text"),
        ("r1_zero.start=r1_zero", "stage 'r1_zero' takes in 'r1_zero'; earlier stages are pretrain"),
    ],
)
def test_a_wrong_override_is_refused(override: str, message: str) -> None:
    pattern = message.replace("?", r"\?") if message.endswith("?") else message
    with pytest.raises(InputError, match=pattern):
        load_recipe("nano-zero", [override])


def test_a_stage_that_begins_from_one_that_is_not_there_is_told_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "rm.toml"
    path.write_text(
        "model.name = 'somewhere'\n[stages.reward_models]\nmodels = ['helpfulness']\nhelpfulness.path = 'pairs.jsonl'\n"
    )
    with pytest.raises(InputError, match=r'earlier stages are none. Set stages.reward_models.start = "base" to begin'):
        load_recipe(str(path))


@pytest.mark.parametrize(("text", "value"), [(".25", 0.25), ("+.5e-1", 0.05), ("0.25", 0.25), ("1e-3", 0.001)])
def test_numbers_on_the_command_line_need_no_zero_before_the_point(text: str, value: float) -> None:
    assert load_recipe("nano-zero", [f"r1_zero.loss.kl_weight={text}"]).stages["r1_zero"].loss.kl_weight == value


def test_a_value_of_several_lines_is_a_text() -> None:
    """The lines behind the first one are not lost."""
    text = "5\nseed = 7"
    recipe = load_recipe("nano-zero", [f"model.template.suffix={text}"])
    assert (recipe.model.template.suffix, recipe.seed) == (text, 1)
    with pytest.raises(InputError, match=r"seed = '5\\nranks = 7': expected a whole number"):
        load_recipe("nano-zero", ["seed=5\nranks = 7"])


@pytest.mark.parametrize(
    "override", ["name=\udcff", "model.template.suffix=a\udcff", 'r1_zero.sampling.stop=["\udcff"]']
)
def test_what_is_no_text_is_refused_before_a_run_folder_is_made(override: str) -> None:
    with pytest.raises(InputError, match=r"--set '.*\\udcff.*' is not UTF-8 text"):
        load_recipe("nano-zero", [override])
    with pytest.raises(InputError, match="is not UTF-8 text"):
        put_setting({}, override)


def test_overrides_reach_their_places_and_the_last_one_wins() -> None:
    recipe = load_recipe(
        "nano-zero",
        ["seed=5", "r1_zero.steps=3", "stages.r1_zero.steps=4", "r1_zero.sampling.stop=['x', 'y']", "device=cpu"],
    )
    assert (recipe.seed, recipe.stages["r1_zero"].steps, recipe.device) == (5, 4, "cpu")
    assert recipe.stages["r1_zero"].sampling.stop == ("x", "y")
    assert recipe.stages["r1_zero"].sampling.n == load_recipe("nano-zero").stages["r1_zero"].sampling.n


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_resolved_recipe_reads_back_equal(name: str, tmp_path: Path) -> None:
    stages = load_recipe(name).stages
    trains = next((stage for stage, config in stages.items() if hasattr(config, "optimiser")), "distill.sft")
    recipe = load_recipe(name, ["seed=11", f"{trains}.optimiser.lr=0.1234567890123"])
    there = tmp_path / "recipe.toml"
    there.write_text(as_toml(recipe))
    again = load_recipe(str(there))
    assert again == recipe
    assert fingerprint(again) == fingerprint(recipe)
    assert list(again.stages) == list(recipe.stages)
    assert recipe_name(there) == recipe.name


def test_a_recipe_needs_stages_and_something_to_start_from() -> None:
    with pytest.raises(InputError, match="recipe 'x' has no stages"):
        parse_recipe({"name": "x"})
    with pytest.raises(InputError, match=r"stage 'r1_zero' has no model to start from; set model\.name"):
        parse_recipe({"name": "x", "tasks": {"countdown": {}}, "stages": {"r1_zero": {}}})
    with pytest.raises(InputError, match=r"stage 'r1_zer' is unknown; .*Did you mean 'r1_zero'\?"):
        parse_recipe({"name": "x", "stages": {"r1_zer": {}}})


def test_what_is_no_recipe(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    for text in ("a = [1,", "a = 1" + "0" * 5000, "a = " + "[" * 5000):
        broken.write_text(text)
        with pytest.raises(InputError, match=r"broken\.toml: not valid TOML"):
            load_recipe(str(broken))
    with pytest.raises(InputError, match=r"neither a shipped recipe .*Did you mean 'nano-zero'\?"):
        load_recipe("nano-zer")


def test_a_pipe_is_no_recipe(tmp_path: Path) -> None:
    """It would be empty at the second look."""
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("-", str(tmp_path / "pipe.toml")):
        with pytest.raises(InputError, match="cannot come through a pipe; save it"):
            load_recipe(name)


def test_a_fingerprint_sees_every_value_and_no_order() -> None:
    one, other = load_recipe("nano-zero"), load_recipe("nano-zero", ["r1_zero.optimiser.lr=6e-4"])
    assert fingerprint(one) == fingerprint(load_recipe("nano-zero")) != fingerprint(other)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_a_recipe_is_frozen() -> None:
    recipe = load_recipe("nano-zero")
    assert isinstance(recipe, Recipe)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 2  # type: ignore[misc]


def test_a_path_beside_the_recipe_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    (there / "r.toml").write_text(
        '[tasks.sums]\nkind = "jsonl"\npath = "{recipe}/data/sums.jsonl"\ntest_path = "test.jsonl"\n'
        '[model]\nname = "x"\ntemplate = {name = "{question}", suffix = "of {recipe}/x"}\n'
        '[stages.r1_zero]\nsampling = {stop = ["{recipe}/end", "end"]}\n'
    )
    monkeypatch.chdir(there)
    recipe = load_recipe("r.toml")
    monkeypatch.chdir(elsewhere)
    assert load_recipe(str(there / "r.toml")) == recipe
    assert recipe.tasks["sums"].path == str(there / "data" / "sums.jsonl")
    assert recipe.tasks["sums"].test_path == "test.jsonl", "any other path is left as it is"
    assert recipe.model.template.suffix == "of {recipe}/x", "only a text that begins so is a path"
    assert recipe.stages["r1_zero"].sampling.stop == (str(there / "end"), "end"), "lists are looked through"


def test_a_place_beside_the_recipe_can_be_set_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model.name = "x"\n[tasks.countdown]\n[stages.r1_zero]\n')
    (tmp_path / "mine.py").write_text("def f(prompt, completion): return 1.0\n")
    recipe = load_recipe(str(path), ['r1_zero.reward.parts."{recipe}/mine.py:f" = 0.5', "model.name={recipe}/base"])
    assert recipe.stages["r1_zero"].reward.parts == {f"{tmp_path}/mine.py:f": 0.5}
    assert recipe.model.name == f"{tmp_path}/base"
