"""Dev1: the base learns the cold-start samples (R1 paper, section 2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.loops.settings import SFT
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(SFT):
    """Learns ``cold_start`` from the base."""


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops.sft import fine_tune

    return fine_tune(config, workspace)
