"""PPO in GRPO's place: the same loop and rewards with a value model (R1 paper, v2, appendix A.3)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from r1kit.loops.ppo_settings import PPO
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PPO):
    """R1-Zero's settings, and those of the value model."""


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.backends.backend import backend_of
    from r1kit.loops import rl
    from r1kit.loops.policy import open_policy
    from r1kit.loops.ppo import ActorCritic

    backend = backend_of(workspace.recipe, workspace.ranks)
    with open_policy(config, workspace) as policy:
        critic = backend.open_critic(
            copy.deepcopy(policy.loaded.model),
            replace(config.optimiser, lr=config.value_lr),
            dtype=config.dtype,
            token_budget=config.micro_batch_tokens,
        )
        rl.train(config, policy, credit=ActorCritic(config, policy, critic))
        return policy.result()
