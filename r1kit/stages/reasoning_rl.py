"""Dev2: GRPO on reasoning with the language-consistency reward (R1 paper, section 2.3.2; v2, equation 7)."""

from __future__ import annotations

from dataclasses import dataclass, field

from r1kit.loops.settings import RL
from r1kit.records import StageResult
from r1kit.reward.settings import PAID, RewardConfig
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RL):
    """R1-Zero's settings, from Dev1, with language consistency paid; ``reward.parts`` without it is the ablation."""

    start: str = "cold_start_sft"
    """Stage it starts from; ``base``: the pretrained model."""
    reward: RewardConfig = field(default_factory=lambda: RewardConfig(parts={**PAID, "language": 1.0}))


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops import rl
    from r1kit.loops.policy import open_policy

    with open_policy(config, workspace) as policy:
        rl.train(config, policy)
        return policy.result()
