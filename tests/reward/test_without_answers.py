"""A task that grades nothing: accuracy abstains, its weight with it, and evaluations have no number of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.evals.numbers import OF_ACCURACY, numbers
from r1kit.loops.settings import RL
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.rule import RewardConfig, score_completion
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec, build

FORMED = "<think> a </think> <answer> b </answer>"


@pytest.fixture
def path(tmp_path: Path) -> str:
    lines = [json.dumps({"prompt": f"tell me of {n}"}) for n in range(40)]
    (tmp_path / "p.jsonl").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "p.jsonl")


def test_accuracy_abstains_and_the_other_parts_are_paid(path: str) -> None:
    task = build("help", "data", {"path": path, "rule": "none"})
    config = RewardConfig(parts={"accuracy": 1.0, "format": 0.2, "language": 0.5}, language_if_correct=True)
    prompt = task.train(0)
    score = score_completion(task, prompt, FORMED, "stop", config)
    assert "accuracy" in score.abstained
    assert "accuracy" not in score.parts
    assert score.status == "ok"
    assert score.total == pytest.approx(0.2 + 0.5 * score.parts["language"]), "nothing waits to be right"
    group = Group(
        prompt=prompt,
        prompt_ids=(1,),
        completions=(Completion(token_ids=(1,), logprobs=(0.0,), text=FORMED, finish="stop"),),
    )
    found = numbers([group], [[score]])
    assert {name: found[name] for name in OF_ACCURACY} == dict.fromkeys(OF_ACCURACY)
    assert found["format_rate"] == 1.0


def test_neither_a_form_that_is_asked_for_nor_a_fault_brings_an_accuracy_of_0(path: str, tmp_path: Path) -> None:
    """A completion that takes the verifier down, behind one that is judged."""
    task = build("help", "data", {"path": path, "rule": "none"})
    score = score_completion(task, task.train(0), "no form", "stop", RewardConfig(require_format=True))
    assert "accuracy" not in score.parts
    (tmp_path / "my.py").write_text(
        "import os\ndef f(completion):\n    'dies' in completion and os._exit(1)\n    return 1\n"
    )
    config = RewardConfig(parts={f"{tmp_path}/my.py:f": 1.0})
    done = [Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in ("lives", "dies")]
    group = Group(prompt=task.train(0), prompt_ids=(1,), completions=tuple(done))
    spec = {"help": Spec("data", {"path": path, "rule": "none"})}
    with Verifier(spec, {"help": config}) as verifier:
        first, second = verifier.score_groups([group])[0]
    assert (first.status, second.status, "accuracy" in second.parts) == ("ok", "ungradable", False)
    assert second.abstained == ("accuracy",)


@pytest.mark.parametrize("kind", ["cold_start", "rejection_sampling"])
def test_a_stage_that_keeps_right_samples_is_refused(kind: str, path: str, tmp_path: Path) -> None:
    """It ended in a KeyError behind the stage that samples."""
    (tmp_path / "r.toml").write_text(
        f'model = {{name = "some/model"}}\n[tasks.help]\nkind = "data"\nrule = "none"\npath = "{path}"\n'
        f'[tasks.countdown]\n[stages.r1_zero]\ntasks = ["countdown"]\n[stages.{kind}]\n'
    )
    recipe = load_recipe(str(tmp_path / "r.toml"))
    with pytest.raises(InputError, match=rf"stages.{kind} keeps right answers, and task 'help' has no .* judged = "):
        recipe.stages[kind].check(kind, recipe)
    judged = {"judge": "r1_zero", "judged": ("help",)}
    for settings in ({"tasks": ("countdown",)}, judged):
        replace(recipe.stages[kind], **settings).check(kind, recipe)


def test_a_stage_that_pays_accuracy_there_is_refused_unless_the_user_s_part_pays(path: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        f'model = {{name = "some/model"}}\n[tasks.help]\nkind = "data"\nrule = "none"\npath = "{path}"\n'
        f"[stages.r1_zero]\n"
    )
    recipe = load_recipe(str(tmp_path / "r.toml"))
    RL(reward=RewardConfig(parts={"accuracy": 1.0, "my.py:f": 1.0})).check("r1_zero", recipe)
    RL(reward=RewardConfig(parts={"format": 1.0})).check("r1_zero", recipe)
    with pytest.raises(InputError, match=r"stages.r1_zero pays accuracy, and task 'help' has no reference answers; wh"):
        RL().check("r1_zero", recipe)
    with pytest.raises(InputError, match=r'no column for the answer .*; rule = "none" takes prompts without an answer'):
        build("help", "data", {"path": path}).train(0)


def test_it_cannot_be_graded(path: str) -> None:
    task = build("help", "data", {"path": path, "rule": "none"})
    assert not task.graded
    with pytest.raises(InputError, match="no reference answers"):
        task.grade(Prompt(question="a"), "b")
