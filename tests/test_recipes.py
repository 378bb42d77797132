"""Every TOML that ships is loaded, checked and written back."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit import stages
from r1kit.checks import check_recipe
from r1kit.errors import MissingError
from r1kit.factory.samples import read_samples
from r1kit.recipe import RECIPES, as_toml, load_recipe, shipped_recipes
from tests.model import tiny

NAMES = sorted(shipped_recipes())


def test_recipes_are_found() -> None:
    assert "nano-zero" in NAMES
    assert {path.stem for path in RECIPES.glob("*.toml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_resolves(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name, "a recipe is called what its file is called"
    assert recipe.summary
    assert recipe.hardware
    assert recipe.time
    assert set(recipe.kinds.values()) <= set(stages.STAGES)
    try:
        check_recipe(recipe)
    except MissingError:  # a package that this machine lacks; the recipe itself is right
        pytest.skip("its model's package is not here")


@pytest.mark.parametrize("name", NAMES)
def test_the_resolved_copy_reads_back_as_the_same_recipe(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    copy = tmp_path / "recipe.toml"
    copy.write_text(as_toml(recipe))
    assert load_recipe(str(copy)) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_its_readme_speaks_of_it(name: str) -> None:
    assert f"## {name}\n" in (RECIPES / "README.md").read_text()


# ---- countdown-qwen2.5-3b: its shape, on random weights ----


@pytest.mark.slow
def test_the_countdown_recipe_runs_on_a_tiny_model_of_its_family(tmp_path: Path) -> None:
    small = {
        "model.name": str(tiny.write(tmp_path, "qwen2")),
        "dtype": "float32",
        "r1_zero.steps": "1",
        "r1_zero.prompts_per_step": "4",
        "r1_zero.sampling.max_tokens": "24",
        "r1_zero.evaluation": "{k = 2, limit = 4, max_tokens = 24}",
    }
    settings = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    run = [sys.executable, "-m", "r1kit", "run", "countdown-qwen2.5-3b", "--out", str(tmp_path / "run"), "--ranks", "1"]
    subprocess.run([*run, *settings], check=True, capture_output=True, timeout=600)
    lines = (tmp_path / "run" / "01_r1_zero" / "eval.jsonl").read_text().splitlines()
    assert {(row["split"], row["step"]) for row in map(json.loads, lines)} == {
        (split, step) for split in ("dev", "test") for step in (0, 1)
    }
    rollout = json.loads((tmp_path / "run" / "01_r1_zero" / "rollouts.jsonl").read_text().splitlines()[0])
    assert "Write an equation that makes" in json.dumps(rollout)


# ---- smollm2: its data ----


def held_out(*names: str) -> set[str]:
    """Questions of tasks of ``smollm2`` that are held out."""
    built = load_recipe("smollm2").built(names)
    return {p.question for task in built.values() for split in ("dev", "test") for p in task.held_out(split)}  # type: ignore[arg-type]


def test_the_data_is_what_its_script_writes(tmp_path: Path) -> None:
    runpy.run_path(str(RECIPES / "data" / "make_smollm2.py"))["main"](tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [f"smollm2_{name}.jsonl" for name in ("general", "helpful", "pairs", "refuse", "safety")]
    for name in written:
        assert (tmp_path / name).read_text() == (RECIPES / "data" / name).read_text(), f"run make_smollm2.py: {name}"


def test_reward_models_know_no_question_that_is_held_out() -> None:
    asked = held_out("helpful", "safety")
    for name in ("pairs", "safety"):
        text = (RECIPES / "data" / f"smollm2_{name}.jsonl").read_text()
        assert not [question for question in asked if f'"prompt": "{question}"' in text]


def test_worked_examples_are_no_questions_of_the_tasks() -> None:
    examples = read_samples(RECIPES / "data" / "smollm2_examples.jsonl")
    recipe = load_recipe("smollm2")
    asked = held_out("sums", "products", "longer")
    for name in ("sums", "products", "longer"):
        asked |= {recipe.task(name).train(index).question for index in range(300)}
    assert examples
    assert not asked & {example.prompt for example in examples}


def test_questions_in_words_that_the_base_never_reads_are_told() -> None:
    settings = ("tasks.countdown.korean_share=0.5", 'r1_zero.paraphrases=["nano", "Solve {question}"]')
    told = check_recipe(load_recipe("nano-zero", settings))
    assert [line.partition(": the model")[0] for line in told] == [
        "warning: tasks.countdown: the base's corpus has no word 사용, 만들기",
        "warning: stages.r1_zero.paraphrases: the base's corpus has no word Solve",
    ]
    known = "pretrain.corpus.countdown.problems.korean_share=0.08"
    assert check_recipe(load_recipe("nano-zero", (settings[0], known))) == []


def test_answers_that_are_read_otherwise_than_they_were_paid_for_are_told() -> None:
    """By ``boxed`` after RL that paid for ``tag``, say; one RL stage that reads a task so is enough."""
    other = 'evaluate.reward.answer_style="last_number"'
    (line,) = check_recipe(load_recipe("nano", [other]))
    assert line.startswith("warning: stages.evaluate reads answers to tasks.countdown by last_number and stages.")
    assert "pays for them by tag: set stages.evaluate.reward.answer_style" in line
    told = check_recipe(load_recipe("nano", [other, 'all_scenarios_rl.reward.answer_style="last_number"']))
    assert [line for line in told if "stages.evaluate reads" in line] == []


def test_what_is_in_vain_is_a_warning() -> None:
    lines = check_recipe(load_recipe("nano-zero", ["r1_zero.reward.parts.schema=0.5"]))
    assert any("stages.r1_zero.reward pays for the schema, and none of" in line for line in lines)
    overrides = ["r1_zero.deadline=3", "r1_zero.tasks=['list_ops']", "tasks.list_ops={kind='code/list_ops'}"]
    lines = check_recipe(load_recipe("nano-zero", overrides))
    assert any("r1_zero.deadline = 3 is not above tasks.list_ops.ladder.total_seconds = " in line for line in lines)
