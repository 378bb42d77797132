"""Process rewards, one of the two attempts that did not work (R1 paper, section 4.2; v2, appendix G.2)."""

from __future__ import annotations

from r1kit.loops.prm_settings import PRM as Config
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops.prm import Experiment

    found = Experiment(config, workspace).run()
    inputs = workspace.recipe.inputs(workspace.stage)
    return StageResult(metrics=found, checkpoint=found["process_rl"]["checkpoint"], inputs=inputs)
