"""Every stage has one shape: a frozen Config that says what it takes in, uses and looks at, and a ``run``."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from r1kit import stages
from r1kit.recipe import load_recipe


@pytest.mark.parametrize("name", stages.STAGES)
def test_a_stage_has_the_one_shape(name: str) -> None:
    module = stages.load(name)
    assert module.__all__[-1] == "run"
    assert (module.__doc__ or "").count("paper") >= 1, "its first line says which part of the paper it is"
    config = module.Config()
    assert dataclasses.is_dataclass(config)
    assert type(config).__dataclass_params__.frozen
    assert list(inspect.signature(module.run).parameters) == ["config", "workspace"]
    assert all(isinstance(source, str) for source in config.inputs)
    assert set(config.splits) <= {"dev", "test"}
    assert all(isinstance(tokens, int) for tokens in config.lengths.values())
    assert isinstance(config.uses(load_recipe("nano-zero")), tuple)


def test_the_shipped_chain_feeds_its_stages_as_the_paper_does() -> None:
    """Dev3 restarts from the base, not from Dev2; R1-Zero's outputs become the cold start."""
    recipe = load_recipe("nano")
    assert {name: recipe.inputs(name) for name in recipe.stages} == {
        "pretrain": (),
        "r1_zero": ("pretrain",),
        "cold_start": ("r1_zero",),
        "cold_start_sft": ("pretrain", "cold_start"),
        "reasoning_rl": ("cold_start_sft",),
        "rejection_sampling": ("reasoning_rl",),
        "sft": ("pretrain", "rejection_sampling"),
        "reward_models": ("sft",),
        "all_scenarios_rl": ("sft", "reward_models"),
        "distill": ("rejection_sampling",),
        "evaluate": ("pretrain", "r1_zero", "cold_start_sft", "reasoning_rl", "sft", "all_scenarios_rl"),
    }
