"""A stage that trains an adapter: what its engine samples from, and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evals.evaluating import place

from r1kit.checkpoint.source import resolve_model
from r1kit.checks import check_recipe
from r1kit.depends import stage_keys
from r1kit.errors import InputError
from r1kit.loops.policy import open_policy
from r1kit.loops.settings import RL
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model.load import load_model
from r1kit.recipe import Recipe, load_recipe, parse_recipe
from r1kit.records import Completion
from r1kit.structure import structure
from r1kit.update.adapted import AdaptedLearner
from r1kit.update.learner import Batch, Row
from r1kit.update.settings import LoRA

from .tiny import questions, save_start

pytest.importorskip("peft")

PROMPT = [1, 4, 5]
CONFIG = RL(tasks=("first",), lora=LoRA(rank=2), dtype="float32")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return parse_recipe(
        {
            "name": "adapted",
            "device": "cpu",
            "model": {"name": str(save_start(tmp_path / "start"))},
            "tasks": {"first": questions(tmp_path / "questions.jsonl")},
            "stages": {"r1_zero": {"lora": {"rank": 2}, "sampling": {"n": 2, "max_tokens": 5}}},
        }
    )


def test_an_engine_samples_with_the_adapter_and_the_stage_leaves_it_merged_and_apart(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path / "cache"))
    sampling = replace(CONFIG.sampling, n=3, max_tokens=6)
    workspace, batch = place(tmp_path / "run", recipe=recipe, stage="r1_zero"), [PROMPT]
    with open_policy(replace(CONFIG, sampling=sampling), workspace) as policy:
        learner = policy.learner
        assert isinstance(learner, AdaptedLearner)
        learner.publish(policy.engine, version=0)
        assert gap(policy.engine.generate(batch, sampling, [5])[0], learner) < 1e-5
        row = Row(prompt=0, tokens=torch.tensor([6, 7, 8]), weight=1.0)
        for _ in range(20):
            learner.update(Batch(prompts=[torch.tensor(batch[0])], rows=[row]), supervised_loss, 0.05)
        learner.publish(policy.engine, version=1)
        after = policy.engine.generate(batch, sampling, [5])[0]
        assert gap(after, learner) < 1e-5
        learner.refresh_reference()
        learner.update(Batch(prompts=[torch.tensor(batch[0])], rows=[row]), supervised_loss, 0.05)
        assert gap(after, learner) > 1e-2, "the engine keeps the version that it was handed"
        learner.publish(policy.engine, version=2)
        handed = dict(learner.weights())
        result = policy.result()
    merged = load_model(tmp_path / "run" / str(result.checkpoint))[0].hub_weights()
    assert all(torch.equal(merged[name], weight) for name, weight in handed.items())
    adapter = workspace.folder / "adapter"
    assert {file.name for file in adapter.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    opened = load_model(resolve_model(str(adapter)))[0].hub_weights()
    assert all(torch.equal(opened[name], weight) for name, weight in handed.items())


def gap(completions: tuple[Completion, ...], learner: AdaptedLearner) -> float:
    """Largest difference between an engine's log-probs and the learner's."""
    rows = [Row(prompt=0, tokens=torch.tensor(one.token_ids), weight=1.0) for one in completions]
    read = learner.logprobs(Batch(prompts=[torch.tensor(PROMPT)], rows=rows))
    each = [(own - torch.tensor(one.logprobs)).abs().max() for own, one in zip(read, completions, strict=True)]
    return float(max(each))


@pytest.mark.parametrize(
    ("lora", "line"),
    [
        ({"rank": 17}, r"stages.r1_zero.lora.rank = 17 is above the smaller side of every target \(16 at the most\)"),
        ({"rank": 4, "targets": ["w_proj"]}, r"stages.r1_zero.lora.targets names 'w_proj'; the model's linear layers"),
        ({"rank": 4, "targets": ["lm_head"]}, r"stages.r1_zero.lora.targets names 'lm_head'"),
    ],
)
def test_the_check_looks_at_the_models_shapes(recipe: Recipe, lora: dict[str, object], line: str) -> None:
    stage = recipe.stages["r1_zero"]
    settings = replace(stage.lora, **{key: tuple(v) if isinstance(v, list) else v for key, v in lora.items()})
    with pytest.raises(InputError, match=line):
        check_recipe(replace(recipe, stages={"r1_zero": replace(stage, lora=settings)}))


def test_a_stage_without_the_table_has_the_key_that_it_had() -> None:
    """The table at its default is no part of the key; set, it is."""
    plain, other = (load_recipe("nano-zero", each) for each in ([], ["r1_zero.lora.rank=8"]))
    keys = [stage_keys(one) for one in (plain, other)]
    assert keys[0]["pretrain"] == keys[1]["pretrain"]
    assert keys[0]["r1_zero"] != keys[1]["r1_zero"]
    assert "lora" not in str(keys[0])


@pytest.mark.parametrize(
    ("lora", "line"),
    [
        ({"rank": 2, "targets": ["q_prj"]}, "stages.r1_zero.lora.targets names 'q_prj'.* Did you mean 'q_proj'"),
        ({"rank": 1000}, "stages.r1_zero.lora.rank = 1000 is above the smaller side"),
    ],
)
def test_a_fresh_model_is_looked_at_before_it_is_pretrained(lora: dict[str, Any], line: str) -> None:
    recipe = load_recipe("nano-zero")
    rl = recipe.stages["r1_zero"]
    assert isinstance(rl, RL)
    stages = {**recipe.stages, "r1_zero": replace(rl, lora=structure(LoRA, lora, "lora"))}
    with pytest.raises(InputError, match=line):
        check_recipe(replace(recipe, stages=stages))
