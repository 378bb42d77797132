"""Rejection sampling as a data factory: many samples a prompt, only right and readable ones kept, other data mixed in.

R1 paper, section 2.3.3 (v2, B.3.3): about 600k reasoning samples from the policy of reasoning RL and 200k others.
"""

from __future__ import annotations

from r1kit.factory.rejection_sampling_settings import RejectionSampling as Config
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.factory import rejection_sampling
    from r1kit.factory.collect import is_collected
    from r1kit.factory.writer import on_writer

    if not is_collected(workspace):
        rejection_sampling.sample(config, workspace)
    metrics = on_writer(workspace, lambda: rejection_sampling.finish(config, workspace))
    return StageResult(metrics=metrics, inputs=workspace.recipe.inputs(workspace.stage))
