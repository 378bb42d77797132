"""Dev3: the base, not Dev2, learns the mixture of reasoning and other samples (R1 paper, section 2.3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.loops.settings import SFT
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(SFT):
    """Learns ``rejection_sampling`` from the base."""

    data: str = "rejection_sampling"
    """Stage whose ``samples.jsonl`` is learnt."""


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops.sft import fine_tune

    return fine_tune(config, workspace)
