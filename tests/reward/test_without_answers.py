"""A task that grades nothing: accuracy abstains, its weight with it, and evaluations have no number of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.evals.numbers import OF_ACCURACY, numbers
from r1kit.loops.settings import RL
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.rule import RewardConfig, score_completion
from r1kit.tasks import build

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
