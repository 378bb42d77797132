"""R1-Zero: GRPO straight on the base model, rule rewards only (R1 paper, section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.loops.settings import RL
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RL):
    """Only the paper's RL settings: there is nothing else to R1-Zero."""


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops import rl
    from r1kit.loops.policy import open_policy

    with open_policy(config, workspace) as policy:
        rl.train(config, policy)
        return policy.result()
