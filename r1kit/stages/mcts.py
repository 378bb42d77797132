"""Tree search with a value model, and what it teaches itself: an attempt that the paper gave up (R1 paper, 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.loops.mcts_settings import MCTS
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(MCTS):
    """Rounds of search, SFT of the actor, training of the value model."""


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops.tree_search import improve

    return improve(config, workspace)
