"""The paper, one file a stage. Each has a frozen ``Config`` and ``run(config, workspace) -> StageResult``.

A stage's module imports neither torch nor transformers at its top, so that ``r1 check`` answers at once.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["LEAVES", "STAGES", "load"]

STAGES: dict[str, str] = {
    "pretrain": "A base model by language modelling on a corpus",
    "r1_zero": "R1-Zero: GRPO straight on the base model, rule rewards only",
    "cold_start": "A few readable samples of long reasoning: few-shot, direct, R1-Zero's outputs rewritten",
    "cold_start_sft": "Dev1: the base learns the cold-start samples",
    "reasoning_rl": "Dev2: GRPO on reasoning with the language-consistency reward",
    "rejection_sampling": "A data factory: right and readable samples of the policy, other data mixed in",
    "sft": "Dev3: the base learns the mixture of reasoning and other samples",
    "reward_models": "What pleases and what is safe, learnt from pairs and labels",
    "all_scenarios_rl": "R1: RL for all scenarios, rules and reward models",
    "distill": "Students by SFT alone, beside RL on a student at equal compute",
    "evaluate": "Every checkpoint on every benchmark: the stage table",
}
"""Every stage, in the paper's order, with its one line."""

LEAVES = {
    "cold_start": "samples",
    "rejection_sampling": "samples",
    "reward_models": "reward models",
    "evaluate": "a table",
}
"""What a stage leaves behind where that is not a model."""


def load(name: str) -> ModuleType:
    """The module of a stage in ``STAGES``."""
    return importlib.import_module(f"r1kit.stages.{name}")
