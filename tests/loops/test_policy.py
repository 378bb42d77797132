"""What an RL stage opens, on a tiny fresh model: N, engine, learner, scorer, evaluator; what it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evals.evaluating import place

from r1kit.backends.arithmetic import auto
from r1kit.backends.models import multiplied_parameters
from r1kit.loops import rl
from r1kit.loops.policy import open_policy
from r1kit.loops.settings import RL
from r1kit.model.load import load_model
from r1kit.recipe import Recipe, parse_recipe
from r1kit.update.learner import Batch, Row
from r1kit.update.settings import OptimiserSettings

from .tiny import SHAPE, answered, fresh, questions, save_start

LAYER = 16 * 16 + 2 * 16 * 8 + 16 * 16 + 3 * 16 * 32 + 2 * 16
"""Queries; keys and values of one head of 8; output; gate, up and down; two norms."""


def test_a_tied_embedding_is_multiplied_as_the_head() -> None:
    assert multiplied_parameters(fresh(replace(SHAPE, tie_embeddings=True))) == 12 * 16 + 2 * LAYER + 16


def test_an_embedding_of_its_own_is_looked_up_and_not_multiplied() -> None:
    model = fresh(replace(SHAPE, tie_embeddings=False))
    assert sum(weight.numel() for weight in model.parameters()) == 2 * 12 * 16 + 2 * LAYER + 16
    assert multiplied_parameters(model) == 12 * 16 + 2 * LAYER + 16


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_start(tmp_path_factory.mktemp("start") / "checkpoint")


CONFIG = RL(
    tasks=("first",),
    optimiser=OptimiserSettings(kind="adamw", lr=1e-3),
    micro_batch_tokens=77,
    rows_in_flight=3,
)


@pytest.fixture
def recipe(start: Path, tmp_path: Path) -> Recipe:
    task = questions(tmp_path / "questions.jsonl")
    return parse_recipe(
        {
            "name": "opened",
            "device": "cpu",
            "model": {"name": str(start)},
            "tasks": {"first": task, "second": task, "third": task},
            "stages": {"r1_zero": {"tasks": ["first"]}},
        }
    )


def short(config: RL, **evaluation: Any) -> RL:
    settings = replace(config.evaluation, k=2, limit=3, resamples=10, **evaluation)
    return replace(config, sampling=replace(config.sampling, n=2, max_tokens=5), evaluation=settings)


def test_tasks_are_the_stage_s_and_the_evaluation_may_look_at_others(recipe: Recipe, tmp_path: Path) -> None:
    workspace = place(tmp_path, recipe=recipe, stage="r1_zero")
    with open_policy(short(CONFIG, tasks=("second", "first")), workspace) as policy:
        assert list(policy.tasks) == ["first"]
        assert list(policy.evaluator.evaluate(0)) == ["second", "first"]
    with open_policy(short(CONFIG), place(tmp_path, recipe=recipe, stage="r1_zero")) as policy:
        assert list(policy.evaluator.evaluate(0)) == ["first"], "those that are trained on, where it names none"
    everything = replace(short(CONFIG), tasks=())
    with open_policy(everything, place(tmp_path, recipe=recipe, stage="r1_zero")) as policy:
        assert list(policy.tasks) == ["first", "second", "third"]


def test_the_learner_trains_what_the_engine_samples_and_the_checkpoint_keeps(recipe: Recipe, tmp_path: Path) -> None:
    workspace = place(tmp_path, recipe=recipe, stage="r1_zero")
    with open_policy(short(CONFIG), workspace) as policy:
        assert policy.learner.settings.optimiser == replace(CONFIG.optimiser, muon_dtype=auto(torch.device("cpu"))[0])
        assert (policy.learner.settings.token_budget, policy.learner.settings.temperature) == (77, 1.0)
        assert workspace.parameters == multiplied_parameters(load_model(Path(recipe.model.name))[0])
        rows = [Row(prompt=0, tokens=torch.tensor([5, 6, 7]), weight=1 / 3, advantage=1.0)]
        batch = Batch(prompts=[torch.tensor([1, 2])], rows=rows)
        before = policy.learner.logprobs(batch)[0].clone()
        policy.learner.update(batch, lambda terms: (-terms.logprobs, {}), 1e-2)
        after = policy.learner.logprobs(batch)[0]
        assert after.sum() > before.sum(), "the update made what it was rewarded for likelier"
        policy.learner.publish(policy.engine, version=1)
        policy.evaluator.evaluate(1)
        result = policy.result()
        trained = {name: weight.clone() for name, weight in policy.learner.weights()}
        kept = load_model(tmp_path / str(result.checkpoint))[0]
    assert result.inputs == (recipe.model.name,)
    assert {name: line["step"] for name, line in result.metrics.items()} == {"first": 1}
    again = place(tmp_path, recipe=recipe, stage="r1_zero")
    again.recipe = replace(recipe, model=replace(recipe.model, name=str(tmp_path / str(result.checkpoint))))
    with open_policy(short(CONFIG), again) as policy:
        for name, weight in policy.learner.weights():
            assert torch.equal(weight, trained[name]), name
        assert torch.equal(policy.learner.logprobs(batch)[0], after)
    assert kept.config.num_layers == 2


def test_a_task_is_paid_by_the_stage_s_reward_or_by_its_own(recipe: Recipe, tmp_path: Path) -> None:
    """Right and in form: 1 + .2; where accuracy is not paid, .2."""
    workspace = place(tmp_path, recipe=recipe, stage="r1_zero")
    config = replace(short(CONFIG), tasks=("first", "second"))
    unpaid = {"second": replace(config.reward, parts={**config.reward.parts, "accuracy": 0.0})}
    with open_policy(config, workspace, unpaid) as policy:
        prompts = [policy.evaluator.tasks[name].train(0) for name in ("first", "second")]
        first, second = policy.scorer.score([answered(prompt, prompt.answer or "") for prompt in prompts])
    assert first[0].total == pytest.approx(1.2)
    assert second[0].total == pytest.approx(0.2)
    assert first[0].parts["accuracy"] == second[0].parts["accuracy"] == 1.0, "it is still measured"


def test_everything_is_closed_also_after_an_error(recipe: Recipe, tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        open_policy(short(CONFIG), place(tmp_path, recipe=recipe, stage="r1_zero")) as policy,
    ):
        raise ZeroDivisionError
    with pytest.raises(AssertionError, match="the engine is closed"):
        policy.evaluator.evaluate(0)


def test_the_base_is_looked_at_before_the_first_rl_stage_and_no_other_model(recipe: Recipe, tmp_path: Path) -> None:
    """A model with random weights answers nothing right: no group is mixed, and the user is told what to change."""
    said: list[str] = []
    workspace = place(tmp_path / "base", recipe=recipe, stage="r1_zero")
    workspace.say = said.append
    config = replace(short(CONFIG), steps=1, prompts_per_step=2, final_split="")
    with open_policy(config, workspace) as policy:
        rl.train(config, policy)
    (gate,) = json.loads((workspace.folder / "gate.json").read_text())
    assert (gate["task"], gate["passed"], gate["measures"]["mixed_groups_share"]) == ("first", False, 0.0)
    told = [line for line in said if line.startswith("warning: r1_zero, first: only 0% of groups have both right and")]
    assert len(told) == 1
    assert "model.template" in told[0], "a model by name is asked otherwise, not trained longer"
    second = replace(recipe, stages={**recipe.stages, "again": recipe.stages["r1_zero"]})
    again = place(tmp_path / "base", recipe=second, stage="again")
    again.say = said.append
    with open_policy(config, again) as policy:
        rl.train(config, policy)
    assert not [line for line in said if line.startswith("warning: again")], "of the same base it is told once"
    assert json.loads((again.folder / "gate.json").read_text())[0]["warnings"]
    later = place(tmp_path / "later", recipe=recipe, stage="r1_zero")
    with open_policy(config, later) as policy:
        rl.train(replace(config, start="cold_start_sft"), policy)
    assert not (later.folder / "gate.json").exists()


def test_training_questions_are_paraphrased_and_the_evaluation_s_are_not(recipe: Recipe, tmp_path: Path) -> None:
    prompts = [recipe.task("first").train(index) for index in range(40)]
    config = replace(short(CONFIG), paraphrases=("{question}", "{question} {question}"))
    with open_policy(config, place(tmp_path, recipe=recipe, stage="r1_zero")) as policy:
        said = [policy.render(prompt) for prompt in prompts]
        twice = [policy.loaded.encode(f"{prompt.question} {prompt.question}") for prompt in prompts]
        once = [policy.evaluator.render(prompt) for prompt in prompts]
    assert all(ids in (one, two) for ids, one, two in zip(said, once, twice, strict=True))
    assert said != once
    assert said != twice
    with open_policy(config, place(tmp_path, recipe=recipe, stage="r1_zero")) as policy:
        assert [policy.render(prompt) for prompt in prompts] == said, "of the seed and the prompt alone"
